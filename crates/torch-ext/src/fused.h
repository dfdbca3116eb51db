// The loops of the fused operations, in a table for each kind of processor. fused_loops.cpp has them.

#pragma once

#include <cstdint>

namespace candor_fused {

struct Bf16 {
    uint16_t bits;
};

// Over rows of `n` numbers beside each other, or over heads that lie `step` apart.
template <typename T>
struct Loops {
    void (*rms_norm)(const T* x, const T* weight, float eps, T* y, float* scales, int64_t n_rows, int64_t n);
    // `of_weight` is added to, unless it is null.
    void (*rms_norm_back)(const T* gradient, const T* x, const T* weight, const float* scales, T* of_x, float* of_weight,
                          int64_t n_rows, int64_t n);
    void (*rotary)(const T* x, const T* cos, const T* sin, T* y, int64_t n_heads, int64_t step, int64_t step_of_y,
                   int64_t half);
    void (*rotary_back)(const T* gradient, const T* cos, const T* sin, T* of_x, int64_t n_heads, int64_t step,
                        int64_t step_of_x, int64_t half);
    void (*swiglu)(const T* gate, const T* up, T* y, int64_t n);
    void (*swiglu_back)(const T* gradient, const T* gate, const T* up, T* of_gate, T* of_up, int64_t n);
};

struct Processor {
    Loops<float> in_f32;
    Loops<Bf16> in_bf16;
};

// For every processor of the kind that candor is compiled for, and for those of x86 with AVX2 and FMA.
extern const Processor plain;
extern const Processor avx2;

}  // namespace candor_fused
