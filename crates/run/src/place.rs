//! Which rank of a run this process is, by the environment that launchers set: torchrun, SLURM, Kubernetes' Trainer.
//!
//! `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT` are torchrun's, and what `candor … --ranks N` sets for its own
//! processes. Without a `RANK`, `SLURM_PROCID`, `SLURM_NTASKS` and `SLURM_LOCALID` tell the same in a job step of `srun`, where
//! address and port have to be set. `PET_MASTER_ADDR` and `PET_MASTER_PORT` are read where the plain ones are missing. What `mpirun`
//! starts without a `RANK` is refused: each process would take itself for the only one, in a folder that locks may not reach.

use crate::error::RunError;

/// Where this process stands among those of its run, and where they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankPlace {
    /// This process, from 0.
    pub rank: usize,
    /// Processes.
    pub world: usize,
    /// This process among those of its machine, from 0.
    pub local_rank: usize,
    /// Host of the first rank.
    pub host: String,
    /// Port on it.
    pub port: u16,
    /// The prefix of our keys in the store of torchrun's agent, where it has one at this port already.
    pub agent_prefix: Option<String>,
    /// The network interface to use, where one is named.
    pub interface: Option<String>,
}

const REMEDY: &str = "start the ranks with `--ranks N`, with torchrun --no-python, or set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and \
                      MASTER_PORT";

impl RankPlace {
    /// The place that the environment tells; none where this process is alone.
    ///
    /// # Errors
    /// A variable is missing or no number, the numbers contradict each other, or `mpirun` has started several processes without them.
    pub fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, RunError> {
        if let Some((name, n)) = processes_of_mpi(&get) {
            return Err(unfit(name, format!("is {n}, but mpirun sets no RANK")));
        }
        let of_slurm = get("RANK").is_none() && get("SLURM_PROCID").is_some();
        let [rank, world, local] = if of_slurm {
            ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"]
        } else {
            ["RANK", "WORLD_SIZE", "LOCAL_RANK"]
        };
        let Some(n) = get(world) else {
            return match get(rank) {
                Some(_) => Err(unfit(world, "is not set".to_owned())),
                None => Ok(None),
            };
        };
        let world_size = number(world, &n)?;
        if world_size <= 1 {
            return Ok(None);
        }
        let required = |name: &str| get(name).ok_or_else(|| unfit(name, "is not set".to_owned()));
        let either = |name: &str| {
            let found = get(name).or_else(|| get(&format!("PET_{name}")));
            found.ok_or_else(|| unfit(name, "is not set".to_owned()))
        };
        let rank_number = number(rank, &required(rank)?)?;
        if rank_number >= world_size {
            return Err(unfit(
                rank,
                format!("is {rank_number}, but {world} is {world_size}: ranks count from 0"),
            ));
        }
        let port = either("MASTER_PORT")?;
        let port = port
            .parse()
            .map_err(|_| unfit("MASTER_PORT", format!("is {port:?}, no port")))?;
        let is_agents = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v == "True");
        let attempt = get("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".to_owned());
        Ok(Some(Self {
            rank: rank_number,
            world: world_size,
            local_rank: number(local, &required(local)?)?,
            host: either("MASTER_ADDR")?,
            port,
            agent_prefix: is_agents.then(|| format!("candor/attempt_{attempt}")),
            interface: get("GLOO_SOCKET_IFNAME"),
        }))
    }
}

/// Processes that a launcher has started of this command, which may be one that ranks cannot share; 1 where it is alone.
pub fn processes_started(get: impl Fn(&str) -> Option<String>) -> usize {
    if let Some((_, n)) = processes_of_mpi(&get) {
        return n;
    }
    // The script of a SLURM job has `SLURM_NTASKS` too and runs once; what `srun` starts has this.
    let name = match get("RANK") {
        Some(_) => "WORLD_SIZE",
        None => "SLURM_STEP_NUM_TASKS",
    };
    let n = get(name).and_then(|n| n.parse().ok());
    n.unwrap_or(1).max(1)
}

/// Whether this process belongs to the script of a SLURM job, which runs once for all tasks of the job, and to none of its steps: SLURM's
/// variables tell it the place of the first task.
pub fn is_script_of_slurm(get: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| get(name).is_some();
    is_set("SLURM_PROCID") && !is_set("SLURM_STEP_NUM_TASKS") && !is_set("RANK")
}

/// How many processes `mpirun` has started, where that are several and nothing else tells their ranks, and the variable that says so.
fn processes_of_mpi(get: impl Fn(&str) -> Option<String>) -> Option<(&'static str, usize)> {
    const OPEN_MPI: &str = "OMPI_COMM_WORLD_SIZE";
    const MPICH: &str = "PMI_SIZE";
    if get("RANK").is_some() {
        return None;
    }
    // What `srun` starts may have MPICH's, too.
    let is_slurms = get("SLURM_PROCID").is_some();
    let names: &[&'static str] = if is_slurms {
        &[OPEN_MPI]
    } else {
        &[OPEN_MPI, MPICH]
    };
    names.iter().find_map(|&name| {
        let n: usize = get(name)?.parse().ok()?;
        (n > 1).then_some((name, n))
    })
}

fn number(name: &str, text: &str) -> Result<usize, RunError> {
    text.parse()
        .map_err(|_| unfit(name, format!("is {text:?}, no whole number")))
}

fn unfit(name: &str, problem: String) -> RunError {
    RunError::Environment {
        name: name.to_owned(),
        problem,
        remedy: REMEDY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(set: &[(&str, &str)]) -> Result<Option<RankPlace>, String> {
        let get = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        RankPlace::of_environment(get).map_err(|error| error.to_string())
    }

    const TORCHRUN: [(&str, &str); 5] = [
        ("RANK", "5"),
        ("WORLD_SIZE", "8"),
        ("LOCAL_RANK", "1"),
        ("MASTER_ADDR", "node-0"),
        ("MASTER_PORT", "29500"),
    ];

    #[test]
    fn torchrun_tells_the_place() {
        let expected = RankPlace {
            rank: 5,
            world: 8,
            local_rank: 1,
            host: "node-0".to_owned(),
            port: 29500,
            agent_prefix: None,
            interface: None,
        };
        assert_eq!(place(&TORCHRUN), Ok(Some(expected.clone())));
        let agents = [
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
        ];
        let found = place(&[&TORCHRUN[..], &agents].concat()).unwrap().unwrap();
        assert_eq!(found.agent_prefix.as_deref(), Some("candor/attempt_2"));
        // SLURM's variables are there as well when torchrun is started by srun.
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")];
        assert_eq!(place(&[&TORCHRUN[..], &slurm].concat()), Ok(Some(expected)));
    }

    #[test]
    fn a_job_step_of_slurm_tells_the_place() {
        let found = place(&[
            ("SLURM_PROCID", "3"),
            ("SLURM_NTASKS", "4"),
            ("SLURM_LOCALID", "1"),
            ("PET_MASTER_ADDR", "n1"),
            ("PET_MASTER_PORT", "4000"),
            ("GLOO_SOCKET_IFNAME", "ib0"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!((found.rank, found.world, found.local_rank), (3, 4, 1));
        assert_eq!((&*found.host, found.port), ("n1", 4000));
        assert_eq!(found.interface.as_deref(), Some("ib0"));
    }

    #[test]
    fn one_process_is_alone() {
        assert_eq!(place(&[]), Ok(None));
        assert_eq!(place(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(None));
        assert_eq!(
            place(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")]),
            Ok(None)
        );
    }

    #[test]
    fn a_command_that_shares_nothing_is_told_how_often_it_was_started() {
        let started = |set: &[(&str, &str)]| {
            let get = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            processes_started(get)
        };
        assert_eq!(started(&[]), 1);
        assert_eq!(started(&TORCHRUN), 8);
        // Without a rank, `WORLD_SIZE` is somebody else's.
        assert_eq!(started(&[("WORLD_SIZE", "8")]), 1);
        let job = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "16")];
        assert_eq!(started(&job), 1);
        let step = [&job[..], &[("SLURM_STEP_NUM_TASKS", "16")]].concat();
        assert_eq!(started(&step), 16);
        let is_script = |set: &[(&str, &str)]| {
            is_script_of_slurm(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let torchrun = [&TORCHRUN[..], &job].concat();
        let found = [&job[..], &step[..], &torchrun[..], &[]].map(is_script);
        assert_eq!(found, [true, false, false, false]);
        assert_eq!(started(&[("OMPI_COMM_WORLD_SIZE", "4")]), 4);
        let torchrun = [&TORCHRUN[..], &[("OMPI_COMM_WORLD_SIZE", "4")]].concat();
        assert_eq!(started(&torchrun), 8);
    }

    #[test]
    fn a_process_of_mpirun_is_not_taken_for_the_only_one() {
        let open_mpi = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1")];
        let mpich = [("PMI_SIZE", "2"), ("PMI_RANK", "1")];
        for (set, begins) in [
            (
                open_mpi,
                "OMPI_COMM_WORLD_SIZE is 4, but mpirun sets no RANK; ",
            ),
            (mpich, "PMI_SIZE is 2, but mpirun sets no RANK; "),
        ] {
            let said = place(&set).unwrap_err();
            assert!(said.starts_with(begins), "{said}");
            // A script that tells them their ranks.
            let told = place(&[&TORCHRUN[..], &set].concat());
            assert_eq!(told.unwrap().unwrap().rank, 5);
        }
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")];
        assert_eq!(place(&[slurm, mpich].concat()), Ok(None));
        assert_eq!(place(&[("OMPI_COMM_WORLD_SIZE", "1")]), Ok(None));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let without = |name: &str| {
            let left: Vec<_> = TORCHRUN.into_iter().filter(|(n, _)| *n != name).collect();
            place(&left).unwrap_err()
        };
        for name in [
            "RANK",
            "LOCAL_RANK",
            "MASTER_ADDR",
            "MASTER_PORT",
            "WORLD_SIZE",
        ] {
            assert!(without(name).starts_with(&format!("{name} is not set")));
        }
        let with = |name: &str, value: &str| {
            let mut set = TORCHRUN;
            set.iter_mut().find(|(n, _)| *n == name).unwrap().1 = Box::leak(value.into());
            place(&set).unwrap_err()
        };
        assert!(
            with("RANK", "8").starts_with("RANK is 8, but WORLD_SIZE is 8: ranks count from 0")
        );
        assert!(with("MASTER_PORT", "70000").contains("MASTER_PORT is \"70000\", no port"));
        assert!(with("WORLD_SIZE", "many").contains("no whole number"));
    }
}
