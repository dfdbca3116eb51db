//! Where an optimizer keeps what it needs of each weight between two updates: two moments, and the weight in f32 where passes have
//! it in 16 bits.
//!
//! On the host they take no memory of the device. An update brings those of one weight at a time there and back, and computes
//! what it computes otherwise, on the device: the bits are the same.

use candor_recipe::Reader;
use tch::Device;

/// Where the states of an optimizer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum States {
    /// Where the weights are.
    #[default]
    OnDevice,
    /// In the host's memory.
    OnHost,
}

impl States {
    /// Reads `optimizer.states`.
    pub fn read(recipe: &mut Reader) -> Self {
        let choices = [("device", Self::OnDevice), ("host", Self::OnHost)];
        let meaning = "Where AdamW keeps its two moments, and the weights in f32 of a base that is trained in bf16: beside the weights, or in the host's memory, from which an update copies them to the device and back.";
        recipe
            .one_of("optimizer.states", &choices, meaning)
            .or(Self::default(), "\"device\"")
    }

    /// Where those of a weight are that is on a device.
    pub(crate) fn of(self, weight: Device) -> Device {
        match self {
            Self::OnDevice => weight,
            Self::OnHost => Device::Cpu,
        }
    }
}
