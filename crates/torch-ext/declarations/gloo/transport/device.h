// What c10d's header names of Gloo's transport. Nobody here makes these; a device is handed on by its pointer.
#pragma once

namespace gloo::transport {

class Device;

class UnboundBuffer {
public:
    virtual ~UnboundBuffer() = 0;
};

}  // namespace gloo::transport
