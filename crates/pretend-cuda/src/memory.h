// What a pretend device holds and what is counted of it: blocks of memory at two addresses, copies, bytes. Part of
// pretend_cuda.cpp.

#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <ATen/ATen.h>

namespace {

using at::Tensor;
using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;

constexpr DeviceIndex kDevices = 2;

// --- What is counted ------------------------------------------------------------------------------------

// The order of the directions in `candor_pretend_cuda_counts`.
enum Direction { kToDevice, kToHost, kBetween, kDirections };

std::atomic<uint64_t> copies[kDirections];
std::atomic<uint64_t> copied_bytes[kDirections];
// Operations that a GPU would launch a kernel for, as far as they are known here: all that are no views and no copies
// between memories.
std::atomic<uint64_t> operations;
std::atomic<uint64_t> current_bytes[kDevices];
std::atomic<uint64_t> peak_bytes[kDevices];

// Whether this thread is inside the fallback, whose own copies between the pretend device and the CPU stand for none.
thread_local bool in_fallback = false;

void count(Direction direction, uint64_t bytes) {
    if (!in_fallback) {
        copies[direction] += 1;
        copied_bytes[direction] += bytes;
    }
}

// --- Memory ---------------------------------------------------------------------------------------------

// Memory of a device: the same pages at two addresses. The one that tensors know must not be touched, as on a GPU;
// through the other one the fallback and the copies work.
struct Block {
    void* device_address;
    void* host_address;
    size_t mapped_bytes;
    size_t bytes;
    DeviceIndex device;
};

// Blocks that were let go, by their size: mapping is slow. As on a GPU, who gets one finds in it what was left there.
// Never destroyed: tensors may be let go after everything else.
std::mutex& idle_mutex = *new std::mutex;
auto& idle = *new std::unordered_map<size_t, std::vector<Block*>>;

void release(void* context) {
    auto* block = static_cast<Block*>(context);
    current_bytes[block->device] -= block->bytes;
    const std::lock_guard<std::mutex> lock(idle_mutex);
    idle[block->mapped_bytes].push_back(block);
}

Block* idle_block(size_t mapped_bytes) {
    const std::lock_guard<std::mutex> lock(idle_mutex);
    auto& blocks = idle[mapped_bytes];
    if (blocks.empty()) {
        return nullptr;
    }
    Block* const block = blocks.back();
    blocks.pop_back();
    return block;
}

Block* map_block(size_t mapped_bytes) {
    const int file = memfd_create("candor-pretend-cuda", MFD_CLOEXEC);
    TORCH_CHECK(file >= 0 && ftruncate(file, mapped_bytes) == 0, "no memory for the pretend device");
    void* const untouchable = mmap(nullptr, mapped_bytes, PROT_NONE, MAP_SHARED, file, 0);
    void* const host = mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    TORCH_CHECK(untouchable != MAP_FAILED && host != MAP_FAILED, "no address for the pretend device's memory");
    return new Block{untouchable, host, mapped_bytes, 0, 0};
}

thread_local DeviceIndex current_device = 0;

c10::DataPtr allocate(size_t bytes, Device device) {
    if (bytes == 0) {
        return {nullptr, nullptr, &release, device};
    }
    const size_t page = sysconf(_SC_PAGESIZE);
    const size_t mapped_bytes = (bytes + page - 1) / page * page;
    Block* block = idle_block(mapped_bytes);
    if (block == nullptr) {
        block = map_block(mapped_bytes);
    }
    block->bytes = bytes;
    block->device = device.index();
    const uint64_t now = current_bytes[device.index()] += bytes;
    uint64_t peak = peak_bytes[device.index()];
    while (peak < now && !peak_bytes[device.index()].compare_exchange_weak(peak, now)) {
    }
    return {block->device_address, block, &release, device};
}

struct DeviceAllocator final : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override { return ::allocate(bytes, {DeviceType::CUDA, current_device}); }
    c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
    void copy_data(void*, const void*, std::size_t) const override {
        TORCH_CHECK(false, "the pretend device copies tensors, not addresses");
    }
};

DeviceAllocator allocator;

// The elements of a tensor where the CPU may read and write them.
Tensor on_host(const Tensor& tensor) {
    if (tensor.is_cpu()) {
        return tensor;
    }
    const auto options = tensor.options().device(DeviceType::CPU);
    const auto* block = static_cast<const Block*>(tensor.storage().data_ptr().get_context());
    if (block == nullptr) {
        return at::empty_strided(tensor.sizes(), tensor.strides(), options);
    }
    char* const first = static_cast<char*>(block->host_address) + tensor.storage_offset() * tensor.element_size();
    return at::from_blob(first, tensor.sizes(), tensor.strides(), options);
}

}  // namespace
