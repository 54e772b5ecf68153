// enroll totp, recovery-codes, factors, forget.

#include "base/log.hpp"
#include "base/qr.hpp"
#include "base/secret.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/password_agent.hpp"
#include "cli/proofs.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vigil::cli {

namespace {

constexpr int tries = 3;

/// Empty where the text is more than a QR code holds, which a URI is not.
QrMatrix qr_of(const std::string& text) {
    const base::QrCode code{QRcode_encodeString(text.c_str(), 0, QR_ECLEVEL_L, QR_MODE_8, 1)};
    if (!code)
        return {};
    QrMatrix matrix{.width = static_cast<std::size_t>(code->width), .dark = {}};
    for (std::size_t i = 0; i < matrix.width * matrix.width; ++i)
        matrix.dark.push_back((code->data[i] & 1) != 0);
    return matrix;
}

void introduce(const wire::Enrollment& enrollment, Look look, bool person) {
    std::string text = person ? enrollment_text(enrollment, qr_of(enrollment.uri), look)
                              : enrollment_text(enrollment);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    base::wipe(text.data(), text.size());
}

int prove(const Client& client, const wire::Enrollment& enrollment, bool person) {
    std::string code;
    for (int i = 0; i < tries;) {
        if (!ask_for_code(code, "Code: ", person))
            break;
        if (code.empty())
            continue;
        const auto done = client.enroll_finish(enrollment.factor_id, code);
        if (done) {
            std::printf("Active. To remove it: vigilctl forget %s\n",
                        base::escape(enrollment.factor_id).c_str());
            return 0;
        }
        const int error = done.error().code;
        if (error != wire::code_denied && error != wire::code_invalid)
            return complain(done.error());
        std::fprintf(stderr, "vigilctl: %s\n", base::escape(done.error().what).c_str());
        ++i;
    }
    std::fputs("vigilctl: not proved, so not active; it is forgotten in ten minutes. "
               "Is the clock of the device right?\n",
               stderr);
    return exit_refused;
}

/// As the bus has it.
std::string kind_of(const Enrolling& what) {
    std::string kind{"totp"};
    if (what.digits != Enrolling{}.digits)
        kind += "-" + std::to_string(what.digits);
    return what.hash == Enrolling{}.hash ? kind : kind + "-" + what.hash;
}

/// A code that is typed for nothing is lost: nobody is asked for one that would not do.
base::Secret proof_to_forget(const Client& client, const std::string& id) {
    if (geteuid() == 0)
        return {};
    const auto own = client.factors(own_name()).value_or(std::vector<wire::Factor>{});
    const auto counts = [&](const wire::Factor& factor) {
        return factor.active && factor.kind != "recovery" && factor.id != id;
    };
    const bool is_own = std::ranges::find(own, id, &wire::Factor::id) != own.end();
    if (!is_own || std::ranges::none_of(own, counts))
        return {};
    return proof_of(client, isatty(STDIN_FILENO) != 0);
}

} // namespace

int enroll(const Context& context, const Enrolling& what) {
    const Client client{context.socket};
    const bool person = isatty(STDIN_FILENO) != 0;
    const auto proof = proof_to_enroll(client, what.by_ticket, person);
    if (!proof)
        return complain(proof.error());
    auto enrollment = [&] {
        const PasswordAgent agent;
        return client.enroll_totp(what.user.empty() ? own_name() : what.user, what.name,
                                  std::string{proof->view()}, kind_of(what));
    }();
    if (!enrollment)
        return complain(enrollment.error());
    introduce(*enrollment, context.look, person);
    const int status = prove(client, *enrollment, person);
    base::wipe(enrollment->secret.data(), enrollment->secret.size());
    base::wipe(enrollment->uri.data(), enrollment->uri.size());
    return status;
}

int recovery_codes(const Context& context, const std::string& user) {
    const std::string whose = user.empty() ? own_name() : user;
    const Client client{context.socket};
    const auto proof = proof_of(client, isatty(STDIN_FILENO) != 0);
    auto made = client.renew_recovery(whose, std::string{proof.view()});
    if (!made)
        return complain(made.error());
    std::printf("Recovery codes of %s, for one use each. They are shown this once, and those of "
                "before count no more:\n\n",
                base::escape(whose).c_str());
    for (std::string_view rest = made->lines; !rest.empty();) {
        const auto one = rest.substr(0, rest.find('\n'));
        std::printf("    %s\n", base::escape(one).c_str());
        rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    }
    base::wipe(made->lines.data(), made->lines.size());
    return 0;
}

int factors(const Context& context, const std::string& user, bool json) {
    // Root means everybody's, others their own.
    const bool everybody = user.empty() && geteuid() == 0;
    const Client client{context.socket};
    const auto found = client.factors(user.empty() && !everybody ? own_name() : user);
    if (!found)
        return complain(found.error());
    if (!json) {
        put_listing(client, factor_table(*found, context.now, context.look));
        return 0;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& factor : *found)
        all.push_back(to_json(factor));
    std::fputs(json_text(all).c_str(), stdout);
    return 0;
}

int forget(const Context& context, const std::string& id) {
    const Client client{context.socket};
    const auto proof = proof_to_forget(client, id);
    const auto done = [&] {
        const PasswordAgent agent;
        return client.forget(id, std::string{proof.view()});
    }();
    if (!done)
        return complain(done.error());
    std::printf("forgotten %s\n", base::escape(id).c_str());
    return 0;
}

} // namespace vigil::cli
