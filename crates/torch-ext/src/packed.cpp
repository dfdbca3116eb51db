// Linear layers whose weight stays packed: unpacking, and an autograd function that unpacks once more on the way
// back instead of keeping what it unpacked. packed.rs says what the parts of a weight are and calls this.

#include <algorithm>
#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "guarded.h"

namespace {

using at::ScalarType;
using at::Tensor;

// The order of the parts in `candor_packed_weight`.
enum Int8Part { kRows, kRowScales, kInt8Parts };
enum Nf4Part { kCodes, kScaleCodes, kScaleScales, kOffset, kLevels, kScaleLevels, kNf4Parts };

struct Packed {
    int64_t n_out;
    int64_t n_in;
    int64_t block;
    int64_t superblock;
    torch::autograd::variable_list parts;

    bool is_int8() const { return parts.size() == kInt8Parts; }
    int64_t n_weights() const { return n_out * n_in; }
    int64_t n_blocks() const { return at::divup(n_weights(), block); }
};

void check_part(const Tensor& part, ScalarType kind, at::IntArrayRef shape, const char* name) {
    TORCH_CHECK(part.scalar_type() == kind && part.sizes() == shape && part.is_contiguous(),
                "the part `", name, "` of a packed weight must be ", kind, " ", shape, " and contiguous, and is ",
                part.scalar_type(), " ", part.sizes());
}

// The loops below trust these sizes with raw pointers.
void check(const Packed& weight) {
    const auto& parts = weight.parts;
    for (const Tensor& part : parts) {
        TORCH_CHECK(part.device() == parts[0].device(), "the parts of a packed weight are on several devices");
    }
    if (weight.is_int8()) {
        check_part(parts[kRows], at::kChar, {weight.n_out, weight.n_in}, "codes");
        check_part(parts[kRowScales], at::kFloat, {weight.n_out, 1}, "scales");
        return;
    }
    TORCH_CHECK(parts.size() == kNf4Parts, "a packed weight of ", parts.size(), " parts");
    TORCH_CHECK(weight.block > 0 && weight.block % 2 == 0 && weight.superblock > 0, "blocks of odd or no size");
    const int64_t n_blocks = weight.n_blocks();
    check_part(parts[kCodes], at::kByte, {at::divup(weight.n_weights(), 2)}, "codes");
    check_part(parts[kScaleCodes], at::kByte, {n_blocks}, "scale_codes");
    check_part(parts[kScaleScales], at::kFloat, {at::divup(n_blocks, weight.superblock)}, "scale_scales");
    check_part(parts[kOffset], at::kFloat, {1}, "offset");
    check_part(parts[kLevels], at::kFloat, {16}, "levels");
    check_part(parts[kScaleLevels], at::kFloat, {256}, "scale_levels");
}

// One pass over the bytes on all cores. A block has 16 possible values, so these are computed once a block, and
// each weight is a look-up.
template <typename T>
void unpack_nf4_into(const Packed& weight, T* out) {
    const auto& parts = weight.parts;
    const uint8_t* codes = parts[kCodes].const_data_ptr<uint8_t>();
    const uint8_t* scale_codes = parts[kScaleCodes].const_data_ptr<uint8_t>();
    const float* scale_scales = parts[kScaleScales].const_data_ptr<float>();
    const float* levels = parts[kLevels].const_data_ptr<float>();
    const float* scale_levels = parts[kScaleLevels].const_data_ptr<float>();
    const float offset = *parts[kOffset].const_data_ptr<float>();
    const int64_t n_weights = weight.n_weights();
    constexpr int64_t kBlocksOfAThread = 256;
    at::parallel_for(0, weight.n_blocks(), kBlocksOfAThread, [&](int64_t first, int64_t last) {
        for (int64_t block = first; block < last; ++block) {
            const float scale = scale_levels[scale_codes[block]] * scale_scales[block / weight.superblock] + offset;
            T values[16];
            for (int code = 0; code < 16; ++code) {
                values[code] = static_cast<T>(levels[code] * scale);
            }
            const int64_t begin = block * weight.block;
            const int64_t n = std::min(weight.block, n_weights - begin);
            const uint8_t* from = codes + begin / 2;
            T* to = out + begin;
            for (int64_t pair = 0; pair < n / 2; ++pair) {
                to[2 * pair] = values[from[pair] >> 4];
                to[2 * pair + 1] = values[from[pair] & 15];
            }
            if (n % 2 != 0) {
                to[n - 1] = values[from[n / 2] >> 4];
            }
        }
    });
}

// The same bits from tensor operations alone, for devices that the loop cannot reach.
Tensor unpack_nf4_by_operations(const Packed& weight, ScalarType kind) {
    const auto& parts = weight.parts;
    const int64_t n_blocks = weight.n_blocks();
    const Tensor superscales = parts[kScaleScales].repeat_interleave(weight.superblock).narrow(0, 0, n_blocks);
    const Tensor scales =
        parts[kScaleLevels].index_select(0, parts[kScaleCodes].to(at::kInt)) * superscales + parts[kOffset];
    // Row b of this table is the pair of values that the byte b stands for.
    const Tensor& levels = parts[kLevels];
    const Tensor pairs = at::stack({levels.repeat_interleave(16), levels.repeat({16})}, 1);
    Tensor values = pairs.index_select(0, parts[kCodes].to(at::kInt)).flatten();
    const int64_t n_missing = n_blocks * weight.block - values.numel();
    if (n_missing > 0) {
        values = at::constant_pad_nd(values, {0, n_missing});
    }
    // The product is in f32 and rounded as it is written: a third less of memory to go through than by a product and a cast.
    Tensor weights = at::empty({n_blocks, weight.block}, values.options().dtype(kind));
    at::mul_out(weights, values.view({n_blocks, weight.block}), scales.unsqueeze(1));
    return weights.flatten().narrow(0, 0, weight.n_weights()).view({weight.n_out, weight.n_in});
}

Tensor unpack_nf4(const Packed& weight, ScalarType kind) {
    if (!weight.parts[kCodes].is_cpu()) {
        return unpack_nf4_by_operations(weight, kind);
    }
    const Tensor out = at::empty({weight.n_out, weight.n_in}, at::dtype(kind));
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, kind, "unpack_nf4", [&] {
        unpack_nf4_into(weight, out.mutable_data_ptr<scalar_t>());
    });
    return out;
}

// The weight in full, [n_out, n_in].
Tensor unpack(const Packed& weight, ScalarType kind) {
    check(weight);
    if (weight.is_int8()) {
        return (weight.parts[kRows] * weight.parts[kRowScales]).to(kind);
    }
    return unpack_nf4(weight, kind);
}

class PackedLinear : public torch::autograd::Function<PackedLinear> {
  public:
    static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Packed& weight) {
        context->save_for_backward(weight.parts);
        context->saved_data["sizes"] =
            std::vector<int64_t>{weight.n_out, weight.n_in, weight.block, weight.superblock};
        return at::linear(x, unpack(weight, x.scalar_type()));
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list gradients) {
        const auto sizes = context->saved_data["sizes"].toIntVector();
        const Packed weight{sizes[0], sizes[1], sizes[2], sizes[3], context->get_saved_variables()};
        const Tensor& gradient = gradients[0];
        return {gradient.matmul(unpack(weight, gradient.scalar_type())), Tensor()};
    }
};

}  // namespace

extern "C" {

struct candor_packed_weight {
    int64_t n_out;
    int64_t n_in;
    int64_t block;
    int64_t superblock;
    size_t n_parts;
    Tensor* parts[kNf4Parts];
};

static Packed received(const candor_packed_weight* weight) {
    Packed packed{weight->n_out, weight->n_in, weight->block, weight->superblock, {}};
    for (size_t part = 0; part < weight->n_parts; ++part) {
        packed.parts.push_back(*weight->parts[part]);
    }
    return packed;
}

Tensor* candor_packed_unpack(const candor_packed_weight* weight, const Tensor* like, char** error) {
    return candor::guarded(error, [&] { return unpack(received(weight), like->scalar_type()); });
}

Tensor* candor_packed_unpack_by_operations(const candor_packed_weight* weight, const Tensor* like, char** error) {
    return candor::guarded(error, [&] {
        const Packed packed = received(weight);
        check(packed);
        TORCH_CHECK(!packed.is_int8(), "int8 is unpacked by operations everywhere");
        return unpack_nf4_by_operations(packed, like->scalar_type());
    });
}

Tensor* candor_packed_linear(const candor_packed_weight* weight, const Tensor* x, char** error) {
    return candor::guarded(error, [&] { return PackedLinear::apply(*x, received(weight)); });
}

}  // extern "C"
