// How a tensor that C++ computes reaches Rust.

#pragma once

#include <cstring>
#include <exception>

#include <ATen/ATen.h>

namespace candor {

// Runs `compute`; an exception must not travel into Rust, so its message does, or null if there is none. Whoever called
// frees it. returned.rs is the other half.
template <typename Compute>
char* caught(Compute compute) noexcept {
    try {
        compute();
        return nullptr;
    } catch (const c10::Error& error) {
        return strdup(error.what_without_backtrace());
    } catch (const std::exception& error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("an exception of unknown type");
    }
}

// The same for what gives one tensor, or null and a message.
template <typename Compute>
at::Tensor* guarded(char** error, Compute compute) noexcept {
    at::Tensor* result = nullptr;
    *error = caught([&] { result = new at::Tensor(compute()); });
    return result;
}

}  // namespace candor
