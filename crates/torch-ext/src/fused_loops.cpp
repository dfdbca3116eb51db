// What the fused operations do to rows of numbers in the memory of the CPU. build.rs compiles this file once for each kind
// of processor, CANDOR_LOOPS being the name of the table; fused.cpp chooses one and makes operations of tensors of it.
// Nothing of libtorch may be included: its inline functions would be compiled for that processor too, and be taken for all.
//
// Every sum has one order, however many threads there are: sixteen partial sums along a row, and for sums over rows one
// partial sum for each part that fused.cpp gives. In bf16, a number is computed in f32 and rounded where the plain formula
// would have rounded it on the way forward.

#include "fused.h"

#include <cmath>
#include <cstring>

using candor_fused::Bf16;

namespace {

constexpr int64_t kLanes = 16;

inline float wide(float x) { return x; }
inline float wide(Bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
}

// To the nearest number of the kind T, ties to even; what is not a number stays so.
template <typename T>
inline T narrow(float x);
template <>
inline float narrow<float>(float x) {
    return x;
}
template <>
inline Bf16 narrow<Bf16>(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return Bf16{static_cast<uint16_t>(x == x ? rounded : 0x7fc0)};
}

template <typename T>
inline float rounded(float x) {
    return wide(narrow<T>(x));
}

// The sum of term(0) .. term(n - 1).
template <typename Term>
inline float sum(int64_t n, Term term) {
    float lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        for (int64_t lane = 0; lane < kLanes; ++lane) {
            lanes[lane] += term(i + lane);
        }
    }
    for (int64_t lane = 0; i < n; ++i, ++lane) {
        lanes[lane] += term(i);
    }
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
        for (int64_t lane = 0; lane < half; ++lane) {
            lanes[lane] += lanes[lane + half];
        }
    }
    return lanes[0];
}

// a · b + c, rounded once where the processor can.
inline float product_sum(float a, float b, float c) {
#ifdef __FMA__
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

// e to the power of x, for x between -87 and 88, which others are taken for: Cephes' polynomial, to two units in the
// last place.
inline float exponential(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    // Added and taken away again, this rounds to a whole number.
    constexpr float kRounding = 12582912.0f;
    const float shifted = product_sum(x, 1.44269504088896341f, kRounding);
    const float whole = shifted - kRounding;
    const float rest = product_sum(whole, 2.12194440e-4f, product_sum(whole, -0.693359375f, x));
    float y = 1.9875691500e-4f;
    y = product_sum(y, rest, 1.3981999507e-3f);
    y = product_sum(y, rest, 8.3334519073e-3f);
    y = product_sum(y, rest, 4.1665795894e-2f);
    y = product_sum(y, rest, 1.6666665459e-1f);
    y = product_sum(y, rest, 5.0000001201e-1f);
    y = product_sum(y, rest * rest, rest) + 1.0f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return y * power;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// --- Root-mean-square norm: y = weight · (x · scale), scale = 1 / √(mean(x²) + eps) ------------------------------

template <typename T>
inline void rms_norm_rows(const T* __restrict x, const T* __restrict weight, float eps, T* __restrict y, float* __restrict scales, int64_t n_rows, int64_t n) {
    for (int64_t row = 0; row < n_rows; ++row, x += n, y += n) {
        const float squares = sum(n, [&](int64_t i) { return wide(x[i]) * wide(x[i]); });
        const float scale = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
        scales[row] = scale;
        for (int64_t i = 0; i < n; ++i) {
            y[i] = narrow<T>(wide(weight[i]) * rounded<T>(wide(x[i]) * scale));
        }
    }
}

// The gradient of x, and the gradient of the weight added to `of_weight` unless that is null.
template <typename T>
inline void rms_norm_back_rows(const T* __restrict gradient, const T* __restrict x, const T* __restrict weight, const float* __restrict scales, T* __restrict of_x,
                                      float* __restrict of_weight, int64_t n_rows, int64_t n) {
    for (int64_t row = 0; row < n_rows; ++row, gradient += n, x += n, of_x += n) {
        const float scale = scales[row];
        const float along = sum(n, [&](int64_t i) { return wide(gradient[i]) * wide(weight[i]) * wide(x[i]); });
        const float share = along * scale * scale / static_cast<float>(n);
        for (int64_t i = 0; i < n; ++i) {
            of_x[i] = narrow<T>(scale * (wide(gradient[i]) * wide(weight[i]) - wide(x[i]) * share));
        }
        if (of_weight != nullptr) {
            for (int64_t i = 0; i < n; ++i) {
                of_weight[i] += wide(gradient[i]) * rounded<T>(wide(x[i]) * scale);
            }
        }
    }
}

// --- Rotary positions: y = x · cos + (second half, first half of x) · sin ----------------------------------------

// `Back` turns a gradient: the transpose of the same matrix.
template <typename T, bool Back>
inline void rotary_rows(const T* __restrict x, const T* __restrict cos, const T* __restrict sin, T* __restrict y, int64_t n_rows, int64_t step,
                               int64_t step_of_y, int64_t half) {
    const T* __restrict cross = Back ? sin + half : sin;
    const T* __restrict cross_2 = Back ? sin : sin + half;
    for (int64_t row = 0; row < n_rows; ++row, x += step, y += step_of_y) {
        for (int64_t i = 0; i < half; ++i) {
            const float first = wide(x[i]);
            const float second = wide(x[half + i]);
            y[i] = narrow<T>(rounded<T>(first * wide(cos[i])) + rounded<T>(second * wide(cross[i])));
            y[half + i] = narrow<T>(rounded<T>(second * wide(cos[half + i])) + rounded<T>(first * wide(cross_2[i])));
        }
    }
}

// --- SwiGLU: y = silu(gate) · up ---------------------------------------------------------------------------------

template <typename T>
inline void swiglu_span(const T* __restrict gate, const T* __restrict up, T* __restrict y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        const float x = wide(gate[i]);
        y[i] = narrow<T>(rounded<T>(x * sigmoid(x)) * wide(up[i]));
    }
}

template <typename T>
inline void swiglu_back_span(const T* __restrict gradient, const T* __restrict gate, const T* __restrict up, T* __restrict of_gate, T* __restrict of_up, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        const float x = wide(gate[i]);
        const float share = sigmoid(x);
        of_up[i] = narrow<T>(wide(gradient[i]) * rounded<T>(x * share));
        const float of_silu = wide(gradient[i]) * wide(up[i]);
        of_gate[i] = narrow<T>(of_silu * share * (1.0f + x * (1.0f - share)));
    }
}

template <typename T>
constexpr candor_fused::Loops<T> loops{rms_norm_rows<T>,    rms_norm_back_rows<T>, rotary_rows<T, false>,
                                       rotary_rows<T, true>, swiglu_span<T>,        swiglu_back_span<T>};

}  // namespace

namespace candor_fused {
const Processor CANDOR_LOOPS{loops<float>, loops<Bf16>};
}  // namespace candor_fused
