// Operations of a decoder's block in one pass over memory each way, where libtorch would make several: on the CPU, in f32
// and bf16, by the loops of fused.h; elsewhere, and in other kinds, by the fewest of libtorch's own operations. fused.rs
// says what they compute.

#include <algorithm>
#include <atomic>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "fused.h"
#include "guarded.h"

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::atomic<bool> in_one_pass{true};

// What a thread is worth starting for.
constexpr int64_t kNumbersOfAThread = 16384;

// Rows whose part of a sum over rows is one: fixed, so that the sum's order is.
constexpr int64_t kRowsOfASum = 64;

int64_t grain(int64_t numbers) { return std::max<int64_t>(1, kNumbersOfAThread / std::max<int64_t>(1, numbers)); }

// Whether the loops serve: all on the CPU and of one kind that they have.
bool serves(std::initializer_list<const Tensor*> tensors) {
    const Tensor& first = **tensors.begin();
    const auto kind = first.scalar_type();
    if (!in_one_pass || (kind != at::kFloat && kind != at::kBFloat16)) {
        return false;
    }
    return std::all_of(tensors.begin(), tensors.end(), [&](const Tensor* tensor) {
        return tensor->is_cpu() && tensor->layout() == at::kStrided && tensor->scalar_type() == kind;
    });
}

// The loops for this processor.
const candor_fused::Processor& processor() {
#ifdef CANDOR_AVX2
    static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx2) {
        return candor_fused::avx2;
    }
#endif
    return candor_fused::plain;
}

// Calls a function with the loops for the kind of a tensor.
template <typename Compute>
void for_kind(const Tensor& tensor, Compute compute) {
    if (tensor.scalar_type() == at::kFloat) {
        compute(processor().in_f32);
    } else {
        compute(processor().in_bf16);
    }
}

// The numbers of a tensor as the loops know them.
template <typename T>
const T* read(const Tensor& tensor, const candor_fused::Loops<T>&) {
    return static_cast<const T*>(tensor.const_data_ptr());
}
template <typename T>
T* written(const Tensor& tensor, const candor_fused::Loops<T>&) {
    return static_cast<T*>(tensor.mutable_data_ptr());
}

// A tensor whose memory is whole rows of its last dimension, in any order.
Tensor in_rows(const Tensor& x) {
    return x.is_non_overlapping_and_dense() && (x.size(-1) < 2 || x.stride(-1) == 1) ? x : x.contiguous();
}

// The same numbers with the strides of another.
Tensor laid_out_as(const Tensor& x, const Tensor& other) {
    return x.strides() == other.strides() ? x : at::empty_like(other).copy_(x);
}

// Runs an autograd function where something is to be learnt, and its computation alone elsewhere.
template <typename Function, typename... Arguments>
Tensor applied(bool learns, const Arguments&... arguments) {
    return learns && at::GradMode::is_enabled() ? Function::apply(arguments...) : Function::compute(arguments...);
}

// --- Root-mean-square norm ---------------------------------------------------------------------------------------

struct RmsNorm : torch::autograd::Function<RmsNorm> {
    static std::pair<Tensor, Tensor> normed(const Tensor& x, const Tensor& weight, double eps) {
        const int64_t n = x.size(-1);
        const int64_t n_rows = x.numel() / std::max<int64_t>(1, n);
        const Tensor y = at::empty_like(x);
        const Tensor scales = at::empty({n_rows}, x.options().dtype(at::kFloat));
        for_kind(x, [&](const auto& loops) {
            const auto* from = read(x, loops);
            const auto* by = read(weight, loops);
            auto* to = written(y, loops);
            float* scale = scales.mutable_data_ptr<float>();
            at::parallel_for(0, n_rows, grain(n), [&](int64_t first, int64_t last) {
                loops.rms_norm(from + first * n, by, static_cast<float>(eps), to + first * n, scale + first,
                                       last - first, n);
            });
        });
        return {y, scales};
    }

    static Tensor compute(const Tensor& x, const Tensor& weight, double eps) {
        return normed(in_rows(x), weight.contiguous(), eps).first;
    }

    static Tensor forward(AutogradContext* context, const Tensor& given, const Tensor& weight, double eps) {
        const Tensor x = in_rows(given);
        const auto [y, scales] = normed(x, weight.contiguous(), eps);
        context->save_for_backward({x, weight, scales});
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const Tensor& x = saved[0];
        const Tensor weight = saved[1].contiguous();
        const Tensor gradient = laid_out_as(gradients[0], x);
        const int64_t n = x.size(-1);
        const int64_t n_rows = x.numel() / std::max<int64_t>(1, n);
        const int64_t n_sums = at::divup(n_rows, kRowsOfASum);
        const bool learns = context->needs_input_grad(1);
        const Tensor of_x = at::empty_like(x);
        const Tensor sums = learns ? at::zeros({n_sums, n}, x.options().dtype(at::kFloat)) : Tensor();
        for_kind(x, [&](const auto& loops) {
            const auto* from = read(x, loops);
            const auto* by = read(weight, loops);
            const auto* g = read(gradient, loops);
            const float* scale = saved[2].const_data_ptr<float>();
            auto* to = written(of_x, loops);
            float* of_weight = learns ? sums.mutable_data_ptr<float>() : nullptr;
            at::parallel_for(0, n_sums, grain(n * kRowsOfASum), [&](int64_t first, int64_t last) {
                for (int64_t part = first; part < last; ++part) {
                    const int64_t row = part * kRowsOfASum;
                    const int64_t rows = std::min(kRowsOfASum, n_rows - row);
                    loops.rms_norm_back(g + row * n, from + row * n, by, scale + row, to + row * n,
                                                learns ? of_weight + part * n : nullptr, rows, n);
                }
            });
        });
        return {of_x, learns ? sums.sum(0).to(weight.scalar_type()) : Tensor(), Tensor()};
    }
};

// --- Rotary positions --------------------------------------------------------------------------------------------

// `x` turned, or a gradient of it turned back; the tables have the sizes of `x` or 1.
Tensor turn(const Tensor& given, const Tensor& cos, const Tensor& sin, bool back) {
    const Tensor x = given.size(3) < 2 || given.stride(3) == 1 ? given : given.contiguous();
    const Tensor y = x.is_non_overlapping_and_dense() ? at::empty_like(x) : at::empty(x.sizes(), x.options());
    const int64_t n_heads = x.size(1);
    const int64_t len = x.size(2);
    const int64_t head_dim = x.size(3);
    const int64_t of_batch = cos.size(0) == 1 ? 0 : cos.stride(0);
    for_kind(x, [&](const auto& loops) {
        const auto* from = read(x, loops);
        const auto* cosines = read(cos, loops);
        const auto* sines = read(sin, loops);
        auto* to = written(y, loops);
        at::parallel_for(0, x.size(0) * len, grain(n_heads * head_dim), [&](int64_t first, int64_t last) {
            for (int64_t at = first; at < last; ++at) {
                const int64_t row = at / len;
                const int64_t place = at % len;
                const int64_t table = row * of_batch + place * head_dim;
                const auto* one = from + row * x.stride(0) + place * x.stride(2);
                auto* other = to + row * y.stride(0) + place * y.stride(2);
                if (back) {
                    loops.rotary_back(one, cosines + table, sines + table, other, n_heads, x.stride(1),
                                              y.stride(1), head_dim / 2);
                } else {
                    loops.rotary(one, cosines + table, sines + table, other, n_heads, x.stride(1), y.stride(1),
                                         head_dim / 2);
                }
            }
        });
    });
    return y;
}

struct Rotary : torch::autograd::Function<Rotary> {
    static Tensor compute(const Tensor& x, const Tensor& cos, const Tensor& sin) { return turn(x, cos, sin, false); }

    static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& cos, const Tensor& sin) {
        context->save_for_backward({cos, sin});
        return compute(x, cos, sin);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        return {turn(gradients[0], saved[0], saved[1], true), Tensor(), Tensor()};
    }
};

// --- SwiGLU ------------------------------------------------------------------------------------------------------

struct SwiGlu : torch::autograd::Function<SwiGlu> {
    static Tensor compute(const Tensor& given_gate, const Tensor& given_up) {
        const Tensor gate = given_gate.contiguous();
        const Tensor up = given_up.contiguous();
        const Tensor y = at::empty_like(gate);
        for_kind(gate, [&](const auto& loops) {
            const auto* x = read(gate, loops);
            const auto* by = read(up, loops);
            auto* to = written(y, loops);
            at::parallel_for(0, gate.numel(), kNumbersOfAThread, [&](int64_t first, int64_t last) {
                loops.swiglu(x + first, by + first, to + first, last - first);
            });
        });
        return y;
    }

    static Tensor forward(AutogradContext* context, const Tensor& gate, const Tensor& up) {
        context->save_for_backward({gate, up});
        return compute(gate, up);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const Tensor gate = saved[0].contiguous();
        const Tensor up = saved[1].contiguous();
        const Tensor gradient = gradients[0].contiguous();
        const Tensor of_gate = at::empty_like(gate);
        const Tensor of_up = at::empty_like(up);
        for_kind(gate, [&](const auto& loops) {
            const auto* g = read(gradient, loops);
            const auto* x = read(gate, loops);
            const auto* by = read(up, loops);
            auto* to_gate = written(of_gate, loops);
            auto* to_up = written(of_up, loops);
            at::parallel_for(0, gate.numel(), kNumbersOfAThread, [&](int64_t first, int64_t last) {
                loops.swiglu_back(g + first, x + first, by + first, to_gate + first, to_up + first,
                                          last - first);
            });
        });
        return {of_gate, of_up};
    }
};

// --- The operations, by loops or by libtorch's -------------------------------------------------------------------

bool learns(std::initializer_list<const Tensor*> tensors) {
    return std::any_of(tensors.begin(), tensors.end(), [](const Tensor* tensor) { return tensor->requires_grad(); });
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
    if (!serves({&x, &weight}) || weight.dim() != 1 || x.dim() < 1 || x.size(-1) != weight.size(0)) {
        return at::rms_norm(x, {x.size(-1)}, weight, eps);
    }
    return applied<RmsNorm>(learns({&x, &weight}), x, weight, eps);
}

Tensor rotary(const Tensor& x, const Tensor& cos, const Tensor& sin) {
    TORCH_CHECK(x.dim() == 4 && cos.dim() == 4 && sin.sizes() == cos.sizes() && x.size(3) % 2 == 0 &&
                    cos.size(1) == 1 && (cos.size(0) == 1 || cos.size(0) == x.size(0)) && cos.size(2) == x.size(2) &&
                    cos.size(3) == x.size(3),
                "rotary tables of the shapes ", cos.sizes(), " and ", sin.sizes(), " for heads of the shape ", x.sizes());
    if (!serves({&x, &cos, &sin})) {
        return at::addcmul(x * cos, at::roll(x, x.size(3) / 2, 3), sin);
    }
    return applied<Rotary>(learns({&x}), x, cos.contiguous(), sin.contiguous());
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
    if (!serves({&gate, &up}) || gate.sizes() != up.sizes()) {
        return at::silu(gate) * up;
    }
    return applied<SwiGlu>(learns({&gate, &up}), gate, up);
}

}  // namespace

extern "C" {

void candor_fused_in_one_pass(bool on) { in_one_pass = on; }

Tensor* candor_fused_rms_norm(const Tensor* x, const Tensor* weight, double eps, char** error) {
    return candor::guarded(error, [&] { return rms_norm(*x, *weight, eps); });
}

Tensor* candor_fused_rotary(const Tensor* x, const Tensor* cos, const Tensor* sin, char** error) {
    return candor::guarded(error, [&] { return rotary(*x, *cos, *sin); });
}

Tensor* candor_fused_swiglu(const Tensor* gate, const Tensor* up, char** error) {
    return candor::guarded(error, [&] { return swiglu(*gate, *up); });
}

}  // extern "C"
