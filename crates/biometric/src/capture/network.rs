//! One neural network: checked against its hash, cleared of denormal weights, loaded, run.

use rten::{Model, NodeId, ValueOrView};
use rten_tensor::{Tensor, TensorView};
use sha2::{Digest as _, Sha256};
use types::limits;

use super::picture::Picture;
use super::settings::{ColourOrder, ModelFile, Scaling};
use crate::Error;

mod denormals;

pub(super) struct Network {
    model: Model,
    input: NodeId,
    file: String,
}

impl Network {
    /// Loads a model whose bytes have the SHA-256 that `file` names.
    pub(super) fn load(file: &ModelFile, mut bytes: Vec<u8>) -> Result<Self, Error> {
        let name = file.file.clone();
        if bytes.len() > limits::MODEL_BYTES {
            return Err(Error::TooLarge { what: "a model file", got: bytes.len(), limit: limits::MODEL_BYTES });
        }
        if Sha256::digest(&bytes).as_slice() != file.sha256.0 {
            return Err(Error::WrongModel { file: name });
        }
        // The processor computes with denormal numbers many times slower; these weights are far below any rounding error.
        denormals::clear(&mut bytes);
        let wrong = |reason| Error::Model { file: file.file.clone(), reason };
        let model = Model::load(bytes).map_err(|_| wrong("it is not an ONNX model that the built-in runtime supports"))?;
        let &[input] = model.input_ids() else { return Err(wrong("it must have exactly one input")) };
        Ok(Self { model, input, file: name })
    }

    /// The error for an output that is not what the profile promises.
    pub(super) fn wrong(&self, reason: &'static str) -> Error {
        Error::Model { file: self.file.clone(), reason }
    }

    /// The position of the output called `name`.
    pub(super) fn output(&self, name: &str) -> Option<usize> {
        let id = self.model.find_node(name)?;
        self.model.output_ids().iter().position(|&output| output == id)
    }

    /// Runs the network on one input of the given shape; every output in order, flattened.
    pub(super) fn run(&self, shape: &[usize], input: Vec<f32>) -> Result<Vec<Vec<f32>>, Error> {
        if shape.iter().product::<usize>() != input.len() {
            return Err(self.wrong("its input has another shape than the profile says"));
        }
        let view = TensorView::from_data(shape, input.as_slice());
        let inputs: Vec<(NodeId, ValueOrView)> = vec![(self.input, view.into())];
        let outputs = self.model.run(inputs, self.model.output_ids(), None);
        let outputs = outputs.map_err(|_| self.wrong("it cannot be run on an input of the profile's shape"))?;
        let flatten = |value: rten::Value| value.into_tensor::<f32>().map(Tensor::into_data);
        outputs.into_iter().map(|v| flatten(v).ok_or(self.wrong("an output is not made of numbers"))).collect()
    }
}

#[cfg(test)]
pub(super) fn cleared_denormals(bytes: &mut [u8]) -> usize {
    denormals::clear(bytes)
}

/// Colour planes of a picture, scaled, one after the other.
pub(super) fn planes(picture: &Picture, order: ColourOrder, scaling: &Scaling) -> Vec<f32> {
    let order = match order {
        ColourOrder::Rgb => [0, 1, 2],
        ColourOrder::Bgr => [2, 1, 0],
    };
    let mut planes = Vec::with_capacity(picture.samples().len());
    for channel in order {
        let samples = picture.samples().chunks_exact(3).filter_map(|pixel| pixel.get(channel));
        planes.extend(samples.map(|&v| (f32::from(v) - scaling.mean) / scaling.divisor));
    }
    planes
}
