//! The stages in their order on one family, each as a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Three portraits and panoramas, one that is smaller than a token, one that is a token high.
const SIZES: [[u32; 2]; 6] = [
    [60, 200],
    [200, 60],
    [40, 40],
    [120, 90],
    [31, 17],
    [300, 28],
];
/// Rows of each file of data.
const N_ROWS: usize = 24;
/// The conversation that is about no image.
const TEXT_ONLY: usize = 7;
/// How often a run is begun anew that ends before it can be killed.
const N_TRIES: usize = 10;

const SMALL: &str = "data.max_tokens=500 data.batch=8 data.micro_batch=4 run.checkpoint_every=1";
const BASE: &str = "model.base=sft/model model.base_precision=f32";
const TALK: &str = r#"data.sources=[{name="talk",format="llava",path="talk.json",count=24}]"#;
const COMPARED: &str =
    r#"data.preferences=["compared.json"] data.n_validation=4 data.n_held_out=4"#;
/// A fresh adapter on every linear layer after the tower.
const LORA: &str = r#"model.lora={r=4,alpha=8.0,targets=["decoder","projector"]}"#;
/// And one on the tower as well.
pub const WITH_TOWER: &str =
    r#"model.lora={r=4,alpha=8.0,targets=["decoder","projector","tower"]}"#;
const ADAPTER: &str = "adapter/adapter_model.safetensors";

/// A folder with a model of a family, images and data of every kind.
pub struct Family {
    /// The folder of its shipped recipes.
    recipes: &'static str,
    folder: tempfile::TempDir,
    /// Fields that every stage is given besides.
    pub everywhere: &'static str,
    /// The adapter that is made.
    pub lora: &'static str,
    /// Whether there is a model of another family.
    is_judged: bool,
    /// Whether PPO against that one is killed and resumed as well.
    pub is_killed_judged: bool,
}

impl Family {
    /// `model` writes the model.
    pub fn new(recipes: &'static str, model: fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        model(&folder.path().join("hub"));
        Self {
            recipes,
            folder,
            everywhere: "",
            lora: LORA,
            is_judged: false,
            is_killed_judged: false,
        }
    }

    /// Has another family, whose model `judge` writes, judge the policy's answers as well.
    pub fn judged_by(mut self, judge: fn(&Path)) -> Self {
        judge(&self.path("judge"));
        self.is_judged = true;
        self
    }

    /// Has a row of each kind of data show two images.
    pub fn with_two_images(self) -> Self {
        for name in ["talk.json", "prompts.json", "compared.json"] {
            let rows = fs::read_to_string(self.path(name)).unwrap();
            let mut rows: Value = serde_json::from_str(&rows).unwrap();
            rows[5]["image"] = json!(["5.png", "3.png"]);
            rows[5]["conversations"][0]["value"] = json!("<image>\n<image>\nIs the dog red?");
            fs::write(self.path(name), rows.to_string()).unwrap();
        }
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn is_inspected_as(&self, words: &[&str]) {
        let page = self.candor(&["inspect", "hub"]);
        for word in words.iter().chain(&["fit together"]) {
            assert!(page.contains(word), "{word}: {page}");
        }
    }

    pub fn all_stages(&self) {
        let (lora, everywhere) = (self.lora, self.everywhere);
        let base = format!("{BASE} {everywhere}");
        let learns = "optimizer.learning_rate=1e-2 run.epochs=30 model.activations=keep";
        let fields = format!("run.out=sft model.base=hub {everywhere} {SMALL} {TALK} {learns}");
        let fields = fields.replace("checkpoint_every=1", "checkpoint_every=100");
        self.run_to_its_end(&words("sft", "llava-7b-224/1-sft.toml", &fields));
        self.has_learned();

        let few = "prompts.count=12 sampling.max_new_tokens=12 run.chunk=4";
        let fields = format!("{base} data.prompts=talk.json {few}");
        let made = ["candidates.jsonl", "metrics.jsonl"];
        self.stage("sample", "2-sample", &fields, &made);
        let candidates = fs::read_to_string(self.path("2-sample/candidates.jsonl")).unwrap();
        assert_eq!(candidates.lines().count(), 12);

        let prompt = format!("prompt.file={ROOT}/recipes/demo/reward-facts.txt");
        let few = "run.steps=3 evaluation.every=2 data.facts=facts.json";
        let fields = format!("{base} {lora} {SMALL} {COMPARED} {prompt} {few}");
        let made = [
            "metrics.jsonl",
            ADAPTER,
            "reward_head.safetensors",
            "held_out.jsonl",
        ];
        self.stage("reward", "3-reward", &fields, &made);

        let fields = format!("{base} {lora} {SMALL} {TALK} model.template=own");
        self.stage("sft", "4-policy-init", &fields, &["metrics.jsonl", ADAPTER]);

        let parts = "model.policy_init=4-policy-init/adapter model.reward=3-reward data.prompts=prompts.json data.facts=facts.json";
        let few = "run.steps=3 run.checkpoint_every=1 sampling.max_new_tokens=16 guard.min_response_tokens=1";
        let rows = "batch.rollout_batch=8 batch.mini_batch=4 batch.micro_batch=2";
        let fields = format!("{base} {parts} {few} {rows}");
        let made = ["metrics.jsonl", ADAPTER, "value/value_head.safetensors"];
        self.stage("rl", "5-ppo", &fields, &made);
        if self.is_judged {
            self.ppo_by_another_family(&fields, &made);
        }
        let fields = format!("{fields} sampling.samples_per_prompt=4");
        self.stage("rl", "grpo/5-grpo", &fields, &["metrics.jsonl", ADAPTER]);

        let fields = format!("{base} {lora} {SMALL} {COMPARED} run.epochs=2");
        let made = ["metrics.jsonl", ADAPTER, "reference.json", "held_out.jsonl"];
        self.stage("dpo", "dpo/4-dpo", &fields, &made);

        let merge = "export sft/model --adapter 5-ppo/adapter --merge --out merged";
        self.candor(&merge.split_whitespace().collect::<Vec<_>>());
        // A portrait and a panorama, and nothing to see.
        let shown: [&[&str]; 2] = [&["0.png", "1.png"], &[]];
        for images in shown {
            let apart = self.ask(&["sft/model", "--adapter", "5-ppo/adapter"], images);
            assert_eq!(self.ask(&["merged"], images), apart, "{images:?}");
        }
    }

    /// PPO against a reward model of the other family, with facts: it reads the answers in its own tokens, and the critic
    /// stands on the policy's base. `fields` are those of PPO against the family's own.
    fn ppo_by_another_family(&self, fields: &str, made: &[&str]) {
        let reward = format!("{}/3-reward.toml", self.recipes);
        let prompt = format!("prompt.file={ROOT}/recipes/demo/reward-facts.txt");
        let base = "run.out=3-judge model.base=judge model.base_precision=f32";
        let few = "run.steps=3 evaluation.every=2 data.facts=facts.json";
        let judge = format!("{base} {LORA} {SMALL} {COMPARED} {prompt} {few}");
        self.run_to_its_end(&words("reward", &reward, &judge));
        let fields = fields.replace("model.reward=3-reward", "model.reward=3-judge");
        let recipe = format!("{}/5-ppo.toml", self.recipes);
        let fields = format!("{fields} model.critic=policy");
        if self.is_killed_judged {
            return self.stage_into("5-ppo-judged", "rl", &recipe, &fields, made);
        }
        let fields = format!("run.out=5-ppo-judged {fields}");
        self.run_to_its_end(&words("rl", &recipe, &fields));
        for file in made {
            let path = self.path("5-ppo-judged").join(file);
            assert!(path.is_file(), "{}", path.display());
        }
    }

    /// How fine-tuning on the rows fails.
    pub fn refuses_to_train(&self) -> String {
        let fields = format!("run.out=refused model.base=hub {SMALL} {TALK}");
        let words = words("sft", "llava-7b-224/1-sft.toml", &fields);
        let output = self.command(&words).output().unwrap();
        assert!(!output.status.success());
        said(&output)
    }

    /// The answers of all rows are two sentences, so what is not known of a token can be nearly nothing.
    fn has_learned(&self) {
        let metrics = fs::read_to_string(self.path("sft/metrics.jsonl")).unwrap();
        let losses = metrics.lines().map(|line| {
            let step: Value = serde_json::from_str(line).unwrap();
            step["loss"].as_f64().unwrap()
        });
        let losses: Vec<f64> = losses.collect();
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.5 && last < first / 4.0, "{first} to {last}");
    }

    /// Runs the stage of a recipe to its end, into a folder of the recipe's name; and again, killed after its first checkpoint
    /// and resumed. Both must have made these files alike.
    fn stage(&self, command: &str, recipe: &str, fields: &str, made: &[&str]) {
        let out = recipe.rsplit('/').next().unwrap();
        let recipe = format!("{}/{recipe}.toml", self.recipes);
        self.stage_into(out, command, &recipe, fields, made);
    }

    /// The same into a folder of another name.
    fn stage_into(&self, out: &str, command: &str, recipe: &str, fields: &str, made: &[&str]) {
        let into = |out: &str| words(command, recipe, &format!("run.out={out} {fields}"));
        self.run_to_its_end(&into(out));
        let killed = format!("{out}-killed");
        let was_killed = (0..N_TRIES).any(|_| {
            let _ = fs::remove_dir_all(self.path(&killed));
            self.kill_after_a_checkpoint(&into(&killed), &self.path(&killed))
        });
        assert!(was_killed, "{recipe} ended before it could be killed");
        let resumed = [into(&killed), vec!["--resume".to_owned()]].concat();
        self.run_to_its_end(&resumed);
        for file in made {
            let read = |out: &str| fs::read(self.path(out).join(file)).unwrap();
            assert!(read(out) == read(&killed), "{file} of {recipe} differs");
        }
    }

    /// Whether the run was killed before it ended, with something to go on from.
    fn kill_after_a_checkpoint(&self, words: &[String], out: &Path) -> bool {
        let has_saved = || {
            let entries = |folder: &str| fs::read_dir(out.join(folder)).into_iter().flatten();
            let mut names = entries("checkpoints").chain(entries("parts"));
            names.any(|entry| {
                entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            })
        };
        let mut child = self.command(words).spawn().unwrap();
        while !has_saved() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.code().is_none_or(|code| code == 0),
            "{}",
            said(&output)
        );
        output.status.code().is_none()
    }

    /// The ids that a model answers with about images, each with its log-probability.
    fn ask(&self, model: &[&str], images: &[&str]) -> Vec<i64> {
        let paths: Vec<String> = images.iter().map(|name| format!("images/{name}")).collect();
        let shown: Vec<&str> = paths
            .iter()
            .flat_map(|path| ["--image", path.as_str()])
            .collect();
        let question = "--prompt red? --precision f32 --max-new-tokens 6 --json";
        let question: Vec<&str> = question.split_whitespace().collect();
        let answer = self.candor(&[&["chat"][..], model, &shown, &question].concat());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let numbers = |field: &str| answer[field].as_array().unwrap().iter();
        let ids: Vec<i64> = numbers("ids").map(|id| id.as_i64().unwrap()).collect();
        let logprobs: Vec<f64> = numbers("logprobs").map(|p| p.as_f64().unwrap()).collect();
        assert_eq!(logprobs.len(), ids.len(), "{answer}");
        assert!((1..=6).contains(&ids.len()), "{answer}");
        assert!(logprobs.iter().all(|p| *p <= 0.0), "{answer}");
        ids
    }

    fn candor(&self, words: &[&str]) -> String {
        self.run_to_its_end(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn run_to_its_end(&self, words: &[String]) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
        command
            .current_dir(self.folder.path())
            .args(words)
            .env("OMP_NUM_THREADS", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The words that run a stage by a shipped recipe, with these fields, apart by spaces, replaced.
fn words(command: &str, recipe: &str, fields: &str) -> Vec<String> {
    let recipe = format!("{ROOT}/recipes/{recipe}");
    let fields = ["data.root=.", "data.images=images"]
        .into_iter()
        .chain(fields.split_whitespace());
    let sets = fields.flat_map(|field| ["--set".to_owned(), field.to_owned()]);
    [command.to_owned(), recipe]
        .into_iter()
        .chain(sets)
        .collect()
}

/// Images, conversations about them, comparisons, prompts and facts.
fn prepare(folder: &Path) {
    fs::create_dir(folder.join("images")).unwrap();
    for (at, [width, height]) in SIZES.into_iter().enumerate() {
        let paint = |x: u32, y: u32| {
            let at = at as u32;
            image::Rgb([(x * 7 + at * 40) as u8, (y * 5) as u8, ((x + y) * 3) as u8])
        };
        let image = image::RgbImage::from_fn(width, height, paint);
        image.save(folder.join(format!("images/{at}.png"))).unwrap();
    }
    let asked = json!({"from": "human", "value": "<image>\nIs the dog red?"});
    let said = |words: &str| json!({"from": "gpt", "value": words});
    let answer = |i: usize| said(if i.is_multiple_of(2) { "Yes." } else { "No." });
    let rows = |more: &dyn Fn(usize) -> Value| -> Value {
        let row = |i: usize| {
            let mut row = more(i);
            row["id"] = json!(format!("r{i}"));
            row["image"] = json!(format!("{}.png", i % SIZES.len()));
            row
        };
        (0..N_ROWS).map(row).collect()
    };
    let talk = |i: usize| json!({"conversations": [asked, answer(i)]});
    let mut talk = rows(&talk);
    let unseen = json!({"from": "human", "value": "Is the dog red?"});
    talk[TEXT_ONLY] = json!({"id": "unseen", "conversations": [unseen, answer(TEXT_ONLY)]});
    let prompt = |i: usize| json!({"conversations": [asked, answer(i)], "caption_type": 1, "length_bonus": 1.0});
    let compared = |i: usize| {
        json!({
            "conversations": [asked], "output_1": said("Yes."), "output_2": said("No, the ball is."),
            "preference": 1 + i % 2, "hallucination": true,
        })
    };
    let names = (0..SIZES.len()).map(|at| format!("{at}.png"));
    let facts: Value = names
        .map(|name| (name, json!(["A red dog on the beach."])))
        .collect();
    for (name, value) in [
        ("talk.json", talk),
        ("prompts.json", rows(&prompt)),
        ("compared.json", rows(&compared)),
        ("facts.json", facts),
    ] {
        fs::write(folder.join(name), value.to_string()).unwrap();
    }
}
