// Two devices that libtorch takes for CUDA's, whose memory is the host's. lib.rs says what they are for.
//
// The libtorch that candor is built against has no kernel under the dispatch key CUDA, so the key is free: what is
// registered here at run time is all that "CUDA" has. Every operation that only looks at memory in another way is
// libtorch's own; copies are counted; everything else goes through one fallback, which first asks what a GPU would ask,
// namely whether all tensors are on one device, and then lets the CPU compute.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/ScopeExit.h>
#include <torch/library.h>

#include "memory.h"

namespace {

// --- The operations that a device must have -------------------------------------------------------------

Device device_of(std::optional<Device> device) {
    const Device given = device.value_or(Device(DeviceType::CUDA));
    return given.has_index() ? given : Device(DeviceType::CUDA, current_device);
}

const c10::DispatchKeySet kKeys(c10::DispatchKey::CUDA);

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
    const c10::DeviceGuard guard(device_of(device));
    return at::detail::empty_generic(size, &allocator, kKeys, c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<Device> device, std::optional<bool>) {
    const c10::DeviceGuard guard(device_of(device));
    return at::detail::empty_strided_generic(size, stride, &allocator, kKeys, c10::dtype_or_default(dtype));
}

const Tensor& resize_(const Tensor& self, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
    auto* tensor = self.unsafeGetTensorImpl();
    const size_t before = tensor->unsafe_storage().nbytes();
    tensor->set_sizes_contiguous(size);
    const size_t needed = (tensor->storage_offset() + tensor->numel()) * tensor->itemsize();
    if (needed > before) {
        c10::DataPtr grown = allocate(needed, self.device());
        if (before > 0) {
            const auto& old = tensor->unsafe_storage().data_ptr();
            std::memcpy(static_cast<Block*>(grown.get_context())->host_address,
                        static_cast<Block*>(old.get_context())->host_address, before);
        }
        tensor->unsafe_storage().set_data_ptr_noswap(std::move(grown));
        tensor->unsafe_storage().set_nbytes(needed);
    }
    return self;
}

Tensor& copy_(Tensor& self, const Tensor& from, bool) {
    const at::AutoDispatchBelowADInplaceOrView below;
    on_host(self).copy_(on_host(from));
    const uint64_t bytes = self.nbytes();
    if (self.is_cpu()) {
        count(kToHost, bytes);
    } else if (from.is_cpu()) {
        count(kToDevice, bytes);
    } else if (self.device() != from.device()) {
        count(kBetween, bytes);
    } else if (!in_fallback) {
        operations += 1;
    }
    return self;
}

at::Scalar local_scalar(const Tensor& self) {
    count(kToHost, self.element_size());
    return on_host(self).item();
}

// --- Everything else ------------------------------------------------------------------------------------

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

// Operations whose result has a shape that only the elements tell, for which the host waits.
bool waits_for_elements(const std::string& name) {
    static const std::unordered_set<std::string> kNames{
        "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive",
        "aten::bincount", "aten::repeat_interleave", "aten::equal", "aten::is_nonzero"};
    return kNames.count(name) > 0;
}

// What CUDA asks of an operation: all tensors on one device, but for numbers without a dimension, and for the
// positions in an index expression.
void check_devices(const c10::OperatorHandle& operation, const torch::jit::Stack& arguments) {
    const auto& schema = operation.schema();
    const bool indexes = starts_with(schema.name(), "aten::index") || starts_with(schema.name(), "aten::_index_put");
    const auto first = arguments.end() - static_cast<std::ptrdiff_t>(schema.arguments().size());
    std::optional<Device> found;
    const auto check = [&](const Tensor& tensor, const std::string& argument) {
        if (!tensor.defined() || (tensor.is_cpu() && tensor.dim() == 0)) {
            return;
        }
        if (!found) {
            found = tensor.device();
        }
        TORCH_CHECK(tensor.device() == *found, "Expected all tensors to be on the same device, but found at least two "
                    "devices, ", *found, " and ", tensor.device(), "! (argument ", argument, " of ", schema.name(), ")");
    };
    for (size_t i = 0; i < schema.arguments().size(); ++i) {
        const c10::IValue& value = *(first + static_cast<std::ptrdiff_t>(i));
        const std::string& name = schema.arguments()[i].name();
        if (value.isTensor()) {
            check(value.toTensor(), name);
        } else if (value.isTensorList()) {
            for (const Tensor& tensor : value.toTensorVector()) {
                check(tensor, name);
            }
        } else if (value.isList()) {
            for (const c10::IValue& element : value.toListRef()) {
                if (!element.isTensor()) {
                    continue;
                }
                const Tensor& tensor = element.toTensor();
                if (indexes && tensor.defined() && tensor.is_cpu()) {
                    count(kToDevice, tensor.nbytes());
                } else {
                    check(tensor, name);
                }
            }
        }
    }
}

// Calls `change` on every tensor of an argument, in lists too.
template <typename Change>
c10::IValue changed(const c10::IValue& value, const Change& change) {
    if (value.isTensor()) {
        return change(value.toTensor());
    }
    if (value.isTensorList()) {
        c10::List<Tensor> list;
        for (const Tensor& tensor : value.toTensorVector()) {
            list.push_back(change(tensor));
        }
        return list;
    }
    if (value.isOptionalTensorList()) {
        c10::List<std::optional<Tensor>> list;
        for (const std::optional<Tensor>& tensor : value.toOptionalTensorVector()) {
            list.push_back(tensor ? std::optional<Tensor>(change(*tensor)) : std::nullopt);
        }
        return list;
    }
    return value.isDevice() ? c10::IValue(Device(DeviceType::CPU)) : value;
}

// The CPU computes on the device's memory itself, so that strides, and with them the order of sums, are the same.
void fallback(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
    check_devices(operation, *stack);
    const auto& schema = operation.schema();
    if (waits_for_elements(schema.name())) {
        count(kToHost, sizeof(int64_t));
    }
    if (!in_fallback) {
        operations += 1;
    }
    const bool was_inside = std::exchange(in_fallback, true);
    const auto leave = c10::make_scope_exit([&] { in_fallback = was_inside; });

    const size_t n_arguments = schema.arguments().size();
    const torch::jit::Stack given(stack->end() - static_cast<std::ptrdiff_t>(n_arguments), stack->end());
    torch::jit::drop(*stack, n_arguments);
    Device device(DeviceType::CPU);
    std::vector<Tensor> written;
    std::vector<Tensor> written_on_host;
    for (size_t i = 0; i < n_arguments; ++i) {
        const auto* alias = schema.arguments()[i].alias_info();
        const bool writes = alias != nullptr && alias->isWrite();
        stack->push_back(changed(given[i], [&](const Tensor& tensor) {
            if (!tensor.defined()) {
                return tensor;
            }
            if (tensor.is_cuda()) {
                device = tensor.device();
            }
            const Tensor host = on_host(tensor);
            if (writes) {
                written.push_back(tensor);
                written_on_host.push_back(host);
            }
            return host;
        }));
        if (given[i].isDevice() && given[i].toDevice().is_cuda()) {
            device = device_of(given[i].toDevice());
        }
    }
    operation.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);

    // What was written is there already, unless the operation chose another size.
    for (size_t i = 0; i < written.size(); ++i) {
        if (written[i].is_cuda() && written[i].sizes() != written_on_host[i].sizes()) {
            written[i].resize_(written_on_host[i].sizes());
            on_host(written[i]).copy_(written_on_host[i]);
        }
    }
    const size_t n_returns = schema.returns().size();
    for (size_t i = 0; i < n_returns; ++i) {
        c10::IValue& result = *(stack->end() - static_cast<std::ptrdiff_t>(n_returns - i));
        if (!result.isTensor() && !result.isTensorList()) {
            count(kToHost, sizeof(int64_t));
            continue;
        }
        const auto* alias = schema.returns()[i].alias_info();
        TORCH_CHECK(alias == nullptr || alias->isWrite(), "the pretend device does not know the view ", schema.name());
        result = changed(result, [&](const Tensor& tensor) {
            if (!tensor.defined()) {
                return tensor;
            }
            for (size_t at = 0; at < written.size(); ++at) {
                if (written_on_host[at].is_same(tensor)) {
                    return written[at];
                }
            }
            const Tensor there = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(device));
            on_host(there).copy_(tensor);
            return there;
        });
    }
}

// --- What libtorch asks of a kind of device -------------------------------------------------------------

struct Guard final : c10::impl::DeviceGuardImplInterface {
    DeviceType type() const override { return DeviceType::CUDA; }
    Device exchangeDevice(Device device) const override {
        const Device before = getDevice();
        setDevice(device);
        return before;
    }
    Device getDevice() const override { return {DeviceType::CUDA, current_device}; }
    void setDevice(Device device) const override {
        TORCH_CHECK(device.index() >= 0 && device.index() < kDevices, "CUDA error: invalid device ordinal");
        current_device = device.index();
    }
    void uncheckedSetDevice(Device device) const noexcept override { current_device = device.index(); }
    c10::Stream getStream(Device device) const noexcept override {
        return c10::Stream(c10::Stream::UNSAFE, device, 0);
    }
    c10::Stream getDefaultStream(Device device) const override { return getStream(device); }
    c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return getStream(stream.device()); }
    DeviceIndex deviceCount() const noexcept override { return kDevices; }
    void record(void**, const c10::Stream&, const DeviceIndex, const c10::EventFlag) const override {}
    void block(void*, const c10::Stream&) const override {}
    bool queryEvent(void*) const override { return true; }
    bool queryStream(const c10::Stream&) const override { return true; }
    void synchronizeStream(const c10::Stream&) const override {}
    void synchronizeEvent(void*) const override {}
    void synchronizeDevice(const DeviceIndex) const override {}
};

struct Hooks final : at::CUDAHooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    void init() const override {}
    bool hasCUDA() const override { return true; }
    bool hasPrimaryContext(DeviceIndex) const override { return true; }
    int getNumGPUs() const override { return kDevices; }
    DeviceIndex deviceCount() const override { return kDevices; }
    DeviceIndex current_device() const override { return ::current_device; }
    DeviceIndex getCurrentDevice() const override { return ::current_device; }
    void setCurrentDevice(DeviceIndex device) const override { ::current_device = device; }
    void deviceSynchronize(DeviceIndex) const override {}
};

void install() {
    at::CUDAHooksRegistry()->Register("CUDAHooks", [](at::CUDAHooksArgs) { return std::make_unique<Hooks>(); });
    TORCH_CHECK(at::detail::getCUDAHooks().hasCUDA(), "libtorch was asked for CUDA before the pretend device was there");
    c10::SetAllocator(DeviceType::CUDA, &allocator);
    static const Guard guard;
    const c10::impl::DeviceGuardImplRegistrar registrar(DeviceType::CUDA, &guard);
    // Never let go: what is registered stays so for the life of the process.
    auto* aten = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
    aten->impl("empty.memory_format", TORCH_FN(empty));
    aten->impl("empty_strided", TORCH_FN(empty_strided));
    aten->impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
    aten->impl("view", TORCH_FN(at::native::view));
    aten->impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
    aten->impl("unfold", TORCH_FN(at::native::unfold));
    aten->impl("resize_", TORCH_FN(resize_));
    aten->impl("copy_", TORCH_FN(copy_));
    aten->impl("_local_scalar_dense", TORCH_FN(local_scalar));
    // Without CUDA's library these are made of other operations; on the CPU they have kernels of their own.
    for (const char* name : {"native_layer_norm", "native_layer_norm_backward", "convolution", "convolution_backward",
                             "silu_backward"}) {
        aten->impl(name, torch::CppFunction::makeFromBoxedFunction<&fallback>());
    }
    // Attention is the plain one where there is no kernel for it; let the CPU's be the same.
    at::globalContext().setSDPUseFlash(false);
    auto* others = new torch::Library(torch::Library::IMPL, "_", c10::DispatchKey::CUDA, __FILE__, __LINE__);
    others->fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

}  // namespace

extern "C" {

// Makes the devices; null, or what went wrong in memory of the C allocator. Only the first call acts.
char* candor_pretend_cuda_install() {
    static std::once_flag once;
    try {
        std::call_once(once, install);
        return nullptr;
    } catch (const std::exception& error) {
        return strdup(error.what());
    }
}

// Number of copies and bytes by direction, then current and peak bytes of each device, then the number of operations.
void candor_pretend_cuda_counts(uint64_t* numbers) {
    for (int direction = 0; direction < kDirections; ++direction) {
        *numbers++ = copies[direction];
        *numbers++ = copied_bytes[direction];
    }
    for (int device = 0; device < kDevices; ++device) {
        *numbers++ = current_bytes[device];
        *numbers++ = peak_bytes[device];
    }
    *numbers++ = operations;
}

// Begins to count anew; peaks begin at what is held now.
void candor_pretend_cuda_restart() {
    for (int direction = 0; direction < kDirections; ++direction) {
        copies[direction] = 0;
        copied_bytes[direction] = 0;
    }
    for (int device = 0; device < kDevices; ++device) {
        peak_bytes[device] = current_bytes[device].load();
    }
    operations = 0;
}
}
