//! Several tensors in one transfer to a device: each costs a wait, whatever its size.

use tch::{Device, Kind, Tensor};

/// Where each tensor begins in the bytes that are moved: a place for every kind.
const ALIGNMENT: usize = 16;

/// The tensors on the device; on the CPU themselves.
///
/// # Panics
/// A tensor has no dimension.
pub(crate) fn together<const N: usize>(tensors: [Tensor; N], device: Device) -> [Tensor; N] {
    if device == Device::Cpu {
        return tensors;
    }
    let mut parts = Vec::new();
    for tensor in &tensors {
        let bytes = tensor.contiguous().flatten(0, -1).view_dtype(Kind::Uint8);
        let n = bytes.numel();
        let n_filled = n.next_multiple_of(ALIGNMENT) - n;
        parts.push(bytes.constant_pad_nd([0, n_filled as i64]));
    }
    let all = Tensor::cat(&parts, 0).to_device(device);
    let mut start = 0_usize;
    tensors.map(|tensor| {
        let n = tensor.numel() * tensor.kind().elt_size_in_bytes();
        let bytes = all.narrow(0, start as i64, n as i64);
        start += n.next_multiple_of(ALIGNMENT);
        bytes.view_dtype(tensor.kind()).view(&tensor.size()[..])
    })
}
