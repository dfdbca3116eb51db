// Settings of libtorch that tch does not bind, and what libtorch says of itself. libtorch.rs calls this.

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

namespace {

// The text in memory of the C allocator, which the caller frees; null where there is no memory.
char* given(const std::string& text) { return strdup(text.c_str()); }

std::string cuda_configuration() {
    const auto& hooks = at::detail::getCUDAHooks();
    return hooks.hasCUDA() ? hooks.showConfig() : "";
}

}  // namespace

extern "C" {

void candor_libtorch_set_tf32(bool on) {
    at::globalContext().setAllowTF32CuBLAS(on);
    at::globalContext().setAllowTF32CuDNN(on);
}

bool candor_libtorch_is_tf32() {
    const auto& context = at::globalContext();
    return context.allowTF32CuBLAS() || context.allowTF32CuDNN(at::Float32Op::CONV);
}

void candor_libtorch_settle() {
    at::globalContext().setSDPUseCuDNN(false);
    // On for convolutions, unless it is taken off.
    candor_libtorch_set_tf32(false);
}

void candor_libtorch_set_deterministic(bool on) {
    // Without warnings alone: attention has a backward pass that repeats itself, and takes it only then.
    at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/false);
    at::globalContext().setDeterministicCuDNN(on);
}

// What ends it; null where there is no memory for that.
void* candor_libtorch_begin_inference() { return new (std::nothrow) c10::InferenceMode(true); }

// On the thread that began it, what began last first.
void candor_libtorch_end_inference(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

bool candor_libtorch_is_deterministic() { return at::globalContext().deterministicAlgorithms(); }

bool candor_libtorch_attention(int backend) {
    const auto& context = at::globalContext();
    switch (backend) {
        case 0: return context.userEnabledFlashSDP();
        case 1: return context.userEnabledMemEfficientSDP();
        case 2: return context.userEnabledCuDNNSDP();
        default: return context.userEnabledMathSDP();
    }
}

char* candor_libtorch_text(int what) {
    try {
        switch (what) {
            case 0: return given(TORCH_VERSION);
            case 1: return given(at::get_cpu_capability());
            default: return given(cuda_configuration());
        }
    } catch (const std::exception& error) {
        return given(error.what());
    }
}
}
