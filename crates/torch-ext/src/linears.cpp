// Linear layers of one input, each with a low-rank term of an adapter or without: an autograd function that adds the terms
// and the gradients of the input where they are, instead of into tensors of their own. linears.rs says what they compute.

#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "guarded.h"

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a layer has besides its weight, as bits. Its tensors stand in a list in this order: weight, bias, A and B, as far as
// it has them; an autograd function takes no undefined tensors.
constexpr int64_t kBias = 1;
constexpr int64_t kTerm = 2;

// base + scale · (x Aᵀ) Bᵀ into `base`, for rows `x`; gives x Aᵀ.
Tensor add_term(Tensor& base, const Tensor& x, const Tensor& a, const Tensor& b, double scale) {
    Tensor low = at::mm(x, a.t());
    base.addmm_(low, b.t(), 1, scale);
    return low;
}

struct Linears : torch::autograd::Function<Linears> {
    // Also what has to be kept for the way back, if `keep` is given.
    static variable_list compute(const Tensor& x, at::TensorList tensors, const std::vector<int64_t>& parts,
                                 const std::vector<double>& scales, variable_list* keep) {
        const Tensor rows = x.reshape({-1, x.size(-1)});
        std::vector<int64_t> size = x.sizes().vec();
        if (keep != nullptr) {
            keep->push_back(rows);
        }
        variable_list results;
        const Tensor* next = tensors.data();
        for (size_t i = 0; i < parts.size(); ++i) {
            const Tensor& weight = *next++;
            Tensor y = at::linear(rows, weight, parts[i] & kBias ? std::optional<Tensor>(*next++) : std::nullopt);
            if (keep != nullptr) {
                keep->push_back(weight);
            }
            if (parts[i] & kTerm) {
                // Of as many bits as the base.
                const Tensor a = (next++)->to(x.scalar_type());
                const Tensor b = (next++)->to(x.scalar_type());
                const Tensor low = add_term(y, rows, a, b, scales[i]);
                if (keep != nullptr) {
                    keep->insert(keep->end(), {a, b, low});
                }
            }
            size.back() = y.size(1);
            results.push_back(y.view(size));
        }
        return results;
    }

    static variable_list forward(AutogradContext* context, const Tensor& x, at::TensorList tensors,
                                 const std::vector<int64_t>& parts, const std::vector<double>& scales) {
        variable_list keep;
        variable_list results = compute(x, tensors, parts, scales, &keep);
        context->save_for_backward(keep);
        context->set_materialize_grads(false);
        context->saved_data["sizes"] = x.sizes();
        context->saved_data["parts"] = parts;
        context->saved_data["scales"] = scales;
        return results;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const variable_list saved = context->get_saved_variables();
        const std::vector<double> scales = context->saved_data["scales"].toDoubleVector();
        const std::vector<int64_t> parts = context->saved_data["parts"].toIntVector();
        const Tensor& rows = saved[0];
        Tensor of_rows;
        // Adds to the gradient of the input, in the order of the layers.
        const auto add = [&](const Tensor& left, const Tensor& right) {
            if (of_rows.defined()) {
                of_rows.addmm_(left, right);
            } else {
                of_rows = at::mm(left, right);
            }
        };
        // The gradient of the input, and then one for each tensor of the list.
        variable_list found(1);
        const auto wanted = [&] { return context->needs_input_grad(found.size()); };
        const Tensor* kept = &saved[1];
        for (size_t i = 0; i < parts.size(); ++i) {
            const bool is_read = gradients[i].defined();
            const Tensor gradient = is_read ? gradients[i].reshape({-1, gradients[i].size(-1)}) : Tensor();
            const Tensor& weight = *kept++;
            if (is_read && context->needs_input_grad(0)) {
                add(gradient, weight);
            }
            found.push_back(is_read && wanted() ? at::mm(gradient.t(), rows) : Tensor());
            if (parts[i] & kBias) {
                found.push_back(is_read && wanted() ? gradient.sum(0) : Tensor());
            }
            if (parts[i] & kTerm) {
                const Tensor& a = *kept++;
                const Tensor& b = *kept++;
                const Tensor& low = *kept++;
                const Tensor of_low = is_read ? at::mm(gradient, b).mul_(scales[i]) : Tensor();
                if (is_read && context->needs_input_grad(0)) {
                    add(of_low, a);
                }
                found.push_back(is_read && wanted() ? at::mm(of_low.t(), rows) : Tensor());
                found.push_back(is_read && wanted() ? at::mm(gradient.t(), low).mul_(scales[i]) : Tensor());
            }
        }
        if (of_rows.defined()) {
            found[0] = of_rows.view(context->saved_data["sizes"].toIntVector());
        }
        // For parts and scales.
        found.resize(found.size() + 2);
        return found;
    }
};

// The same for a layer whose base somebody else has computed.
Tensor with_term(const Tensor& base, const Tensor& x, const Tensor& a, const Tensor& b, double scale) {
    const auto kind = x.scalar_type();
    const Tensor low = at::linear(x.reshape({-1, x.size(-1)}), a.to(kind));
    const Tensor rows = base.reshape({-1, base.size(-1)});
    return at::addmm(rows, low, b.to(kind).t(), 1, scale).view(base.sizes());
}

}  // namespace

extern "C" {

// Weight, and null where there is none, bias, A and B.
struct candor_linear {
    const Tensor* tensors[4];
    double scale;
};

// Writes `n` new tensors to `results`, or gives a message in memory of the C allocator.
char* candor_linears(const Tensor* x, const candor_linear* layers, size_t n, Tensor** results) {
    return candor::caught([&] {
        variable_list tensors;
        std::vector<int64_t> parts;
        std::vector<double> scales;
        bool learns = x->requires_grad();
        for (size_t i = 0; i < n; ++i) {
            for (const Tensor* tensor : layers[i].tensors) {
                if (tensor != nullptr) {
                    tensors.push_back(*tensor);
                    learns |= tensor->requires_grad();
                }
            }
            parts.push_back((layers[i].tensors[1] != nullptr ? kBias : 0) | (layers[i].tensors[2] != nullptr ? kTerm : 0));
            scales.push_back(layers[i].scale);
        }
        const at::TensorList list(tensors);
        const variable_list found = learns && at::GradMode::is_enabled()
                                        ? Linears::apply(*x, list, parts, scales)
                                        : Linears::compute(*x, list, parts, scales, nullptr);
        for (size_t i = 0; i < n; ++i) {
            results[i] = new Tensor(found[i]);
        }
    });
}

Tensor* candor_with_term(const Tensor* base, const Tensor* x, const Tensor* a, const Tensor* b, double scale,
                         char** error) {
    return candor::guarded(error, [&] { return with_term(*base, *x, *a, *b, scale); });
}

}  // extern "C"
