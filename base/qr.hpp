#pragma once
// Owner for libqrencode's symbol. Header only: who includes this links libqrencode.

#include <memory>

#include <qrencode.h>

namespace vigil::base {

struct QrDeleter {
    void operator()(QRcode* code) const noexcept { QRcode_free(code); }
};
using QrCode = std::unique_ptr<QRcode, QrDeleter>;

} // namespace vigil::base
