//! The pretend devices are what their documentation says, by numbers that are written out.

#[cfg(unix)]
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use candor_pretend_cuda::{Copies, FIRST, PretendCuda, SECOND};
use tch::{Cuda, Device, Kind, TchError, Tensor};

fn ramp(device: Device) -> Tensor {
    Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).to_device(device)
}

fn message(result: Result<Tensor, TchError>) -> String {
    result.expect_err("the devices differ").to_string()
}

#[test]
fn libtorch_takes_them_for_cuda() {
    let _devices = PretendCuda::take();
    assert!(Cuda::is_available());
    assert_eq!(Cuda::device_count(), 2);
    assert_eq!(Device::cuda_if_available(), FIRST);
    assert_eq!(ramp(SECOND).device(), SECOND);
}

#[test]
fn operations_views_and_gradients_stay_on_the_device() {
    let _devices = PretendCuda::take();
    let x = ramp(FIRST).set_requires_grad(true);
    let rows = x.view([1, 3]).expand([2, 3], false).transpose(0, 1);
    let squares = (&rows * &rows).narrow(0, 1, 2);
    assert_eq!(squares.device(), FIRST);
    squares.sum(Kind::Float).backward();
    // Twice (once a row) the sum of the squares of 2 and 3: its gradient is 4x, and 0 for what was left out.
    assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [0.0, 8.0, 12.0]);
    assert_eq!(x.grad().device(), FIRST);
    let mut filled = Tensor::zeros([2], (Kind::Float, SECOND));
    let _ = filled.fill_(7.0);
    assert_eq!(Vec::<f32>::try_from(&filled).unwrap(), [7.0, 7.0]);
}

#[test]
fn tensors_of_two_devices_are_refused_with_cudas_words() {
    let _devices = PretendCuda::take();
    let words = "Expected all tensors to be on the same device";
    let (host, first, second) = (ramp(Device::Cpu), ramp(FIRST), ramp(SECOND));
    for wrong in [
        first.f_add(&host),
        host.f_mul(&first),
        first.f_dot(&host),
        first.f_add(&second),
        first.f_index_select(0, &Tensor::from_slice(&[0_i64])),
        first.f_where_self(&host.gt(1.0), &first),
        Tensor::f_cat(&[&first, &host], 0),
        Tensor::f_embedding(
            &first.view([3, 1]),
            &Tensor::from_slice(&[1_i64]),
            -1,
            false,
            false,
        ),
    ] {
        let found = message(wrong);
        assert!(found.contains(words), "{found}");
    }
    // A number without a dimension may come from the host, as may the positions of an index.
    let sum = first.f_add(&Tensor::from(1.0_f32)).unwrap();
    assert_eq!(Vec::<f32>::try_from(sum).unwrap(), [2.0, 3.0, 4.0]);
    let last = first
        .f_index(&[Some(Tensor::from_slice(&[2_i64]))])
        .unwrap();
    assert_eq!(Vec::<f32>::try_from(last).unwrap(), [3.0]);
}

#[test]
fn copies_and_waiting_are_counted_by_direction() {
    let devices = PretendCuda::take();
    let copies = |n, bytes| Copies { n, bytes };
    let first = ramp(FIRST);
    let product = &first * &first;
    assert_eq!(devices.traffic().to_device, copies(1, 12));
    assert_eq!(devices.traffic().to_host, copies(0, 0));
    assert!((product.double_value(&[2]) - 9.0).abs() < 1e-12);
    assert_eq!(devices.traffic().to_host.n, 1);
    let _ = product.to_device(Device::Cpu);
    assert_eq!(devices.traffic().to_host.n, 2);
    let _ = product.nonzero();
    assert_eq!(devices.traffic().to_host.n, 3);
    let _ = product.to_device(SECOND);
    assert_eq!(devices.traffic().between, copies(1, 12));
    devices.restart();
    assert_eq!(devices.traffic().to_device, copies(0, 0));
}

#[test]
fn bytes_of_a_device_are_counted_until_they_are_let_go() {
    let devices = PretendCuda::take();
    let before = devices.held(SECOND).now;
    let one = Tensor::zeros([1000], (Kind::Float, SECOND));
    let view = one.view([10, 100]);
    assert_eq!(devices.held(SECOND).now, before + 4000);
    drop(one);
    assert_eq!(devices.held(SECOND).now, before + 4000);
    drop(view);
    assert_eq!(devices.held(SECOND).now, before);
    assert_eq!(devices.held(SECOND).peak, before + 4000);
}

/// Runs this test once more in a process of its own, which touches the memory.
#[test]
#[cfg(unix)]
fn a_process_that_reads_a_devices_memory_ends() {
    const TOUCH: &str = "CANDOR_TOUCH_THE_DEVICE";
    const SIGSEGV: i32 = 11;

    if std::env::var_os(TOUCH).is_some() {
        let _devices = PretendCuda::take();
        let values = ramp(FIRST);
        let first = values.data_ptr().cast::<f32>();
        // SAFETY: there are three values; that they cannot be read is what is tested.
        let value = unsafe { first.read_volatile() };
        println!("read {value}");
        return;
    }
    let name = "a_process_that_reads_a_devices_memory_ends";
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", name, "--nocapture"])
        .env(TOUCH, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(SIGSEGV), "{output:?}");
}
