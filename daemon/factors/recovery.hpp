#pragma once
// Recovery codes: ten, each for one use, for whoever has lost his other factor. Kept as hashes
// (scrypt, RFC 7914), so that who reads the database and its key has no codes yet.

#include "base/error.hpp"
#include "base/secret.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vigil::factors {

inline constexpr std::size_t recovery_codes = 10;

/// What is kept of the codes of one person.
class RecoverySet {
public:
    /// Codes as they are shown, "abcd-efgh-ijkl-mnop", and what is kept of them.
    struct Drawn;
    static Result<Drawn> draw();

    /// EBADMSG: it is none.
    static Result<RecoverySet> parse(std::string_view bytes);
    std::string bytes() const;

    /// Uses the code up. false: it is none of them, or was used. Takes some 25 ms either way.
    Result<bool> use(std::string_view typed);

    std::size_t left() const noexcept;

private:
    std::string salt_;
    std::vector<std::string> hashes_; ///< of one that was used: zeros
};

struct RecoverySet::Drawn {
    RecoverySet set;
    std::vector<base::Secret> codes;
};

} // namespace vigil::factors
