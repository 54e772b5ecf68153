// rehearse, enforce: from a policy that only observes to one that is in force, with a way back.

#include "base/log.hpp"
#include "base/process.hpp"
#include "base/whole_file.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/host_checks.hpp"
#include "cli/mode_text.hpp"
#include "cli/wiring_checks.hpp"
#include "policy/scalars.hpp"
#include "wire/errors.hpp"

#include <cerrno>
#include <cstdio>

#include <sys/stat.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

/// What keeps vigil from enforcing here, or people from coming back when it should not have.
std::vector<Finding> in_the_way(const Context& context) {
    auto findings = findings_of_host(context);
    std::erase_if(findings, [](const Finding& finding) {
        return finding.grade != Grade::failure &&
               !(finding.check == way_back_check && finding.grade != Grade::ok);
    });
    return findings;
}

struct PolicyFile {
    std::string text;
    mode_t mode = 0;
    uid_t owner = 0;
    gid_t group = 0;
};

Result<PolicyFile> read_policy(const std::string& path) {
    struct stat node{};
    if (::lstat(path.c_str(), &node) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISREG(node.st_mode))
        return fail(EINVAL, path + " is no file but a link or the like: put `mode: enforce` where "
                                   "it leads to, by hand, then vigilctl reload");
    auto text = base::read_small_file(path);
    if (!text)
        return std::unexpected{text.error()};
    return PolicyFile{.text = std::move(*text),
                      .mode = node.st_mode & 07777,
                      .owner = node.st_uid,
                      .group = node.st_gid};
}

Result<> write_policy(const std::string& path, const std::string& text, const PolicyFile& like) {
    if (auto written = base::write_whole(path, text, like.mode); !written)
        return written;
    return ::lchown(path.c_str(), like.owner, like.group) < 0
               ? fail(errno, "giving " + path + " back to its group")
               : Result<>{};
}

/// Leaves the file as it was where vigild does not take the new one.
Result<> put_in_force(const Client& client, const std::string& path) {
    const auto before = read_policy(path);
    if (!before)
        return std::unexpected{before.error()};
    const auto after = made_enforcing(before->text);
    if (!after)
        return fail(EINVAL, "no line of " + path +
                                " says `mode: observe`: put `mode: enforce` there by hand, then "
                                "vigilctl reload");
    if (auto written = write_policy(path, *after, *before); !written)
        return written;
    const auto error = client.reload();
    if (error && error->empty())
        return {};
    auto restored = write_policy(path, before->text, *before);
    if (!restored)
        return restored;
    // A vigild that is only slow reads the one after the other.
    const bool is_read = error || client.reload();
    return fail(0, (error ? *error : error.error().what) + "; " + path + " is as it was" +
                       (is_read ? "" : ", and vigild may have read it before: vigilctl reload"));
}

} // namespace

int rehearse(const Context& context, const std::string& time) {
    const auto lasts = policy::read_duration(time);
    if (!lasts || *lasts == never) {
        std::fprintf(stderr, "vigilctl rehearse: --for: %s; see `vigilctl rehearse --help`\n",
                     base::escape(lasts ? "a rehearsal has an end" : lasts.error().what).c_str());
        return exit_usage;
    }
    const Client client{context.socket};
    if (const auto done = client.rehearse(*lasts); !done)
        return complain(done.error());
    const auto until =
        std::chrono::duration_cast<Microseconds>(context.now.wall.time_since_epoch() + *lasts);
    std::printf(
        "vigil enforces until %s, in earnest. Log in anew meanwhile, and if all is well say "
        "there:\n  vigilctl enforce\nOtherwise it then only observes again, and gives "
        "back what it has locked.\n",
        clock_text(static_cast<std::uint64_t>(until.count()), context.now).c_str());
    return 0;
}

int enforce(const Context& context, bool anyway) {
    if (::geteuid() != 0)
        return complain({wire::code_denied, "what vigil does here is for root to say"});
    const Client client{context.socket};
    const auto status = client.status();
    if (!status)
        return complain(status.error());
    if (status->mode == "enforce" && status->rehearsed_until == 0) {
        std::puts("vigil enforces already.");
        return 0;
    }
    if (const auto bad = in_the_way(context); !anyway && !bad.empty()) {
        std::fputs(findings_text(bad, context.look).c_str(), stdout);
        return complain({0, "vigil goes on observing: mend that first, or say --anyway"});
    }
    if (const auto confirmed = client.confirm_rehearsal(status->rehearsed_until); !confirmed)
        return complain(confirmed.error());
    if (const auto done = put_in_force(client, status->policy_path); !done)
        return complain(done.error());
    std::printf("From now on vigil enforces. To have it only watch again: `mode: observe` in %s, "
                "then vigilctl reload.\n",
                base::escape(status->policy_path).c_str());
    return 0;
}

} // namespace vigil::cli
