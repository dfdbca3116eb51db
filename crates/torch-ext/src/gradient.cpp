// Gradients that are given back. gradient.rs says what the call means.

#include <ATen/ATen.h>

extern "C" {

void candor_forget_gradient(const at::Tensor* tensor) {
    if (tensor->grad().defined()) {
        tensor->mutable_grad().reset();
    }
}

}  // extern "C"
