// Streams of CUDA devices, through what libtorch_cpu knows of every device. nccl.rs says what the calls mean.

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "guarded.h"

namespace {

const c10::impl::DeviceGuardImplInterface* guard() { return c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA); }

c10::Device device_of(int index) { return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index)}; }

}  // namespace

extern "C" {

char* candor_stream(int index, void** stream) {
    return candor::caught([&] {
        const c10::Device device = device_of(index);
        guard()->setDevice(device);
        *stream = guard()->getStreamNativeHandle(guard()->getStream(device));
    });
}

char* candor_stream_is_done(int index, bool* done) {
    return candor::caught([&] { *done = guard()->queryStream(guard()->getStream(device_of(index))); });
}

}  // extern "C"
