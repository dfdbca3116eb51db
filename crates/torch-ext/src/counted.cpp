// What a stretch of work asks of a GPU, by libtorch's own profiler, and the most bytes that tensors held there. counted.rs says
// what the numbers mean.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include "guarded.h"

namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

bool begins_with(const std::string& name, const char* prefix) { return name.rfind(prefix, 0) == 0; }

// A GPU's operations are not looked at one by one: what CUDA was asked for is enough, and a step has hundreds of thousands.
std::set<ActivityType> activities(bool gpu) { return {gpu ? ActivityType::CUDA : ActivityType::CPU}; }

}  // namespace

extern "C" {

char* candor_counting_begin(bool gpu) {
    return candor::caught([&] {
        const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
        profiler::prepareProfiler(config, activities(gpu));
        profiler::enableProfiler(config, activities(gpu), {at::RecordScope::FUNCTION});
    });
}

// Kernels, copies and waits; on the thread that began.
char* candor_counting_end(bool gpu, uint64_t* numbers) {
    return candor::caught([&] {
        const auto result = profiler::disableProfiler();
        for (const auto& event : result->events()) {
            const std::string name = event.name();
            if (!gpu) {
                numbers[0] += begins_with(name, "aten::");
            } else if (event.deviceType() == c10::DeviceType::CUDA) {
                ++numbers[begins_with(name, "Memcpy") ? 1 : 0];
            } else if (name == "cudaStreamSynchronize" || name == "cudaEventSynchronize") {
                ++numbers[2];
            }
        }
    });
}

// −1 where nobody counts, as on a device of which nothing was asked yet.
int64_t candor_device_peak(int index) {
    try {
        auto* allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
        const auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(index));
        return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
    } catch (...) {
        return -1;
    }
}

void candor_restart_device_peak(int index) {
    try {
        c10::getDeviceAllocator(c10::DeviceType::CUDA)->resetPeakStats(static_cast<c10::DeviceIndex>(index));
    } catch (...) {
        // Nobody counts.
    }
}

}  // extern "C"
