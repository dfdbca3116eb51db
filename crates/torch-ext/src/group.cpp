// A process group of c10d over Gloo, and its store. group.rs says what the calls mean.
//
// The headers of libtorch lack Gloo's own. The files in `declarations` say of its types what c10d's header names, and no
// more is needed: a group and a store are made by constructors in libtorch and used through virtual functions.

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <numeric>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#define USE_C10D_GLOO
#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "guarded.h"

namespace {

using c10d::ProcessGroupGloo;

// What the deleting destructor in libtorch 2.11 hands back, so that what is allocated here has the size its constructor
// fills. A libtorch with another class does not compile instead of writing past its end.
#if defined(__linux__) && defined(__x86_64__)
static_assert(sizeof(ProcessGroupGloo) == 488, "ProcessGroupGloo is not that of libtorch 2.11");
#endif

struct Group {
    c10::intrusive_ptr<c10d::Store> store;
    c10::intrusive_ptr<ProcessGroupGloo> gloo;
};

// Whether `call` ended well; else it leaves a message, or null where there was no memory for one.
template <typename Call>
bool guarded(char** error, Call call) noexcept {
    bool done = false;
    *error = candor::caught([&] {
        call();
        done = true;
    });
    return done;
}

// A socket at a port of 127.0.0.1 alone, for a store to listen on: by itself it listens on all interfaces.
int socket_on_loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    const int file = ::socket(AF_INET, SOCK_STREAM, 0);
    if (file >= 0 && ::fcntl(file, F_SETFD, FD_CLOEXEC) == 0 &&
        ::setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return file;
    }
    const int reason = errno;
    if (file >= 0) {
        ::close(file);
    }
    throw std::runtime_error("no socket at 127.0.0.1:" + std::to_string(port) + ": " + std::strerror(reason) +
                             (reason == EADDRINUSE ? " (EADDRINUSE)" : ""));
}

at::Tensor bytes_at(void* data, int64_t n_bytes) { return at::from_blob(data, {n_bytes}, at::kByte); }

}  // namespace

extern "C" {

struct candor_group_place {
    const char* host;
    uint16_t port;
    bool serves;
    const char* prefix;
    const char* device_interface;
    bool on_loopback;
    int rank;
    int world;
    int64_t timeout_ms;
};

Group* candor_group_join(const candor_group_place* place, char** error) {
    std::unique_ptr<Group> group;
    const bool joined = guarded(error, [&] {
        const std::chrono::milliseconds timeout(place->timeout_ms);
        c10d::TCPStoreOptions options;
        options.port = place->port;
        options.isServer = place->serves;
        options.timeout = timeout;
        if (place->serves && std::strcmp(place->host, "127.0.0.1") == 0) {
            // The store closes it.
            options.masterListenFd = socket_on_loopback(place->port);
        }
        // The group's own start waits for all.
        options.waitWorkers = false;
        c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::TCPStore>(place->host, options);
        if (place->prefix != nullptr) {
            store = c10::make_intrusive<c10d::PrefixStore>(place->prefix, store);
        }
        auto settings = ProcessGroupGloo::Options::create(timeout);
        settings->devices.push_back(
            place->device_interface != nullptr ? ProcessGroupGloo::createDeviceForInterface(place->device_interface)
            : place->on_loopback               ? ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                               : ProcessGroupGloo::createDefaultDevice());
        auto gloo = c10::make_intrusive<ProcessGroupGloo>(
            c10::make_intrusive<c10d::PrefixStore>("gloo", store), place->rank, place->world, settings);
        group = std::make_unique<Group>(Group{store, gloo});
    });
    return joined ? group.release() : nullptr;
}

void candor_group_leave(Group* group) {
    char* error = nullptr;
    guarded(&error, [&] { delete group; });
    free(error);
}

// `all` has room for `n_bytes` of every rank.
bool candor_group_all_gather(Group* group, void* mine, void* all, int64_t n_bytes, char** error) {
    return guarded(error, [&] {
        at::Tensor input = bytes_at(mine, n_bytes);
        at::Tensor output = bytes_at(all, n_bytes * group->gloo->getSize());
        group->gloo->_allgather_base(output, input)->wait();
    });
}

// `mine` is what this rank sends to each, one after the other, `sent` bytes to each; `all` has room for the `received` bytes of each.
bool candor_group_all_to_all(Group* group, void* mine, const int64_t* sent, void* all, const int64_t* received,
                             char** error) {
    return guarded(error, [&] {
        const int world = group->gloo->getSize();
        std::vector<int64_t> sizes_sent(sent, sent + world);
        std::vector<int64_t> sizes_received(received, received + world);
        at::Tensor input = bytes_at(mine, std::accumulate(sizes_sent.begin(), sizes_sent.end(), int64_t{0}));
        at::Tensor output = bytes_at(all, std::accumulate(sizes_received.begin(), sizes_received.end(), int64_t{0}));
        group->gloo->alltoall_base(output, input, sizes_received, sizes_sent)->wait();
    });
}

bool candor_group_broadcast(Group* group, void* data, int64_t n_bytes, int from, char** error) {
    return guarded(error, [&] {
        std::vector<at::Tensor> tensors{bytes_at(data, n_bytes)};
        c10d::BroadcastOptions options;
        options.rootRank = from;
        group->gloo->broadcast(tensors, options)->wait();
    });
}

bool candor_group_barrier(Group* group, char** error) {
    return guarded(error, [&] { group->gloo->barrier()->wait(); });
}

bool candor_group_add(Group* group, const char* key, int64_t amount, int64_t* sum, char** error) {
    return guarded(error, [&] { *sum = group->store->add(key, amount); });
}

}  // extern "C"
