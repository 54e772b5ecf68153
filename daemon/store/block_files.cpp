#include "daemon/store/block_files.hpp"

#include "base/directory.hpp"
#include "base/number.hpp"
#include "base/process.hpp"
#include "base/whole_file.hpp"
#include "wire/block_mark.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <cerrno>
#include <map>

#include <sys/stat.h>
#include <unistd.h>

namespace vigil::store {

namespace {

// Anybody's programs may see who is blocked, as a screen's locker does that runs as its user; why
// is root's to read, and for the one who is refused.
constexpr mode_t marks_mode = 0755;
constexpr mode_t copies_mode = 0700;
constexpr mode_t file_mode = 0600;
constexpr mode_t all_modes = 07777;
/// Room for a reason, a name and who gave the order, each as long as it may be.
constexpr std::size_t largest_copy = 8192;

/// Which boot CLOCK_BOOTTIME is of, as this program sees it; "": not known.
std::string read_boot_id() {
    const auto id =
        base::read_small_file("/proc/sys/kernel/random/boot_id").value_or(std::string{});
    return id.substr(0, id.find('\n'));
}

std::string path_of(const std::string& folder, std::uint32_t uid) {
    return folder + "/" + std::to_string(uid);
}

/// Whether it is new.
Result<bool> make_folder(const std::string& folder, mode_t mode) {
    const bool is_new = ::mkdir(folder.c_str(), mode) == 0;
    if (!is_new && errno != EEXIST)
        return fail(errno, "making " + folder);
    // Whatever the umask is.
    if (::chmod(folder.c_str(), mode) < 0)
        return fail(errno, "making " + folder);
    return is_new;
}

/// Where it is no folder, or not everybody's to look into, the login path refuses all but root
/// while vigild is away (wire/block_mark.hpp). Nobody but root can have done that.
Result<> mend_marks_folder(const std::string& folder) {
    struct stat status{};
    if (::lstat(folder.c_str(), &status) < 0)
        return errno == ENOENT ? Result<>{} : fail(errno, "reading " + folder);
    if (!S_ISDIR(status.st_mode))
        return ::unlink(folder.c_str()) < 0 ? fail(errno, "removing " + folder) : Result<>{};
    if ((status.st_uid != 0 || status.st_gid != 0) && ::lchown(folder.c_str(), 0, 0) < 0)
        return fail(errno, "taking " + folder + " back");
    if ((status.st_mode & all_modes) != marks_mode && ::chmod(folder.c_str(), marks_mode) < 0)
        return fail(errno, "opening " + folder + " to everybody's look");
    return {};
}

/// One that is right already is left: a start has all of them to write.
bool is_there(const std::string& path, const std::string& text) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == 0 &&
           base::read_small_file(path, largest_copy).value_or(std::string{}) == text;
}

std::string mark_text(const core::BlockRecord& record, Seconds utc_offset) {
    return wire::text_of({.line = core::block_text(record, utc_offset), .until = record.until});
}

bool is_absent(int code) {
    return code == ENOENT || code == ENOTDIR;
}

Result<> erase(const std::string& path) {
    if (::unlink(path.c_str()) < 0 && !is_absent(errno))
        return fail(errno, "removing " + path);
    return {};
}

/// What stands in a folder; nothing where there is none.
Result<std::vector<std::string>> names_in(const std::string& folder) {
    const base::Directory directory{::opendir(folder.c_str())};
    if (!directory && errno == ENOENT)
        return std::vector<std::string>{};
    if (!directory)
        return fail(errno, "reading " + folder);
    std::vector<std::string> names;
    while (const auto* const entry = ::readdir(directory.get()))
        if (const std::string name = entry->d_name; name != "." && name != "..")
            names.push_back(name);
    return names;
}

std::string number_text(auto time) {
    return std::to_string(time.time_since_epoch().count());
}

/// "key value" lines. None of the values has a newline: see Api::block(). The last of a key counts:
/// the mark stands before them, whose first line may begin with a user's name that is a key.
std::map<std::string, std::string, std::less<>> fields_of(std::string_view text) {
    std::map<std::string, std::string, std::less<>> fields;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (const auto space = line.find(' '); space != line.npos)
            fields.insert_or_assign(std::string{line.substr(0, space)}, line.substr(space + 1));
    }
    return fields;
}

template <typename Time>
std::optional<Time> time_of(const std::string& text) {
    Microseconds::rep number = 0;
    return base::parse_number(text, number) ? std::optional{Time{Microseconds{number}}}
                                            : std::nullopt;
}

core::BlockRecord copy_of(std::uint32_t uid, const std::string& text, const std::string& boot_id,
                          const Now& now) {
    auto fields = fields_of(text);
    core::BlockRecord record{.uid = uid,
                             .user = fields["user"],
                             .reason = fields["reason"],
                             .by = fields["by"],
                             .since = time_of<WallTime>(fields["since"]).value_or(now.wall)};
    if (record.user.empty())
        record.user = "uid " + std::to_string(uid);
    if (record.reason.empty())
        record.reason = "what is known of it cannot be read";
    const auto until = time_of<BootTime>(fields["until"]);
    const auto until_wall = time_of<WallTime>(fields["until_wall"]);
    if (!until || !until_wall)
        return record;
    record.until_wall = *until_wall;
    record.until = fields["boot"] == boot_id && !boot_id.empty()
                       ? *until
                       : core::end_after_reboot(record, now);
    return record;
}

} // namespace

BlockFiles::BlockFiles(const std::string& runtime, const std::string& state)
    : marks_{runtime + "/" + wire::blocked_folder}, state_{state},
      copies_{state + "/" + wire::blocked_folder}, boot_id_{read_boot_id()} {}

Result<> BlockFiles::put_mark(const core::BlockRecord& record, Seconds utc_offset) {
    const auto path = path_of(marks_, record.uid);
    const auto text = mark_text(record, utc_offset);
    if (const auto mended = mend_marks_folder(marks_); !mended)
        return mended;
    if (is_there(path, text))
        return {};
    if (const auto made = make_folder(marks_, marks_mode); !made)
        return std::unexpected{made.error()};
    return base::write_whole(path, text, file_mode);
}

Result<> BlockFiles::put_copy(const core::BlockRecord& record, Seconds utc_offset) {
    std::string text = mark_text(record, utc_offset) + "user " + record.user + "\nby " + record.by +
                       "\nsince " + number_text(record.since) + "\nreason " + record.reason + "\n";
    if (record.until != BootTime::max())
        text += "boot " + boot_id_ + "\nuntil " + number_text(record.until) + "\nuntil_wall " +
                number_text(record.until_wall) + "\n";
    const auto path = path_of(copies_, record.uid);
    if (is_there(path, text))
        return {};
    const auto is_new = make_folder(copies_, copies_mode);
    if (!is_new)
        return std::unexpected{is_new.error()};
    if (const auto written = base::write_whole(path, text, file_mode); !written)
        return written;
    if (const auto synced = base::sync_folder(copies_); !synced || !*is_new)
        return synced;
    return base::sync_folder(state_);
}

Result<> BlockFiles::erase_mark(std::uint32_t uid) {
    return erase(path_of(marks_, uid));
}

Result<> BlockFiles::erase_copy(std::uint32_t uid) {
    if (const auto done = erase(path_of(copies_, uid)); !done)
        return done;
    const auto synced = base::sync_folder(copies_);
    return synced || is_absent(synced.error().code) ? Result<>{} : synced;
}

Result<> BlockFiles::keep_marks(const std::set<std::uint32_t>& uids) {
    if (auto mended = mend_marks_folder(marks_); !mended)
        return mended;
    const auto names = names_in(marks_);
    if (!names)
        return std::unexpected{names.error()};
    Result<> done;
    for (const auto& name : *names) {
        std::uint32_t uid = 0;
        if (base::parse_number(name, uid) && name == std::to_string(uid) && uids.contains(uid))
            continue;
        if (auto gone = erase(marks_ + "/" + name); !gone && done)
            done = std::move(gone);
    }
    return done;
}

Result<std::vector<core::BlockRecord>> BlockFiles::copies(const Now& now) const {
    const auto names = names_in(copies_);
    if (!names)
        return std::unexpected{names.error()};
    std::vector<core::BlockRecord> records;
    for (const auto& name : *names) {
        std::uint32_t uid = 0;
        // Root is nobody whom a file could keep out. What write_whole() left is no copy yet.
        if (!base::parse_number(name, uid) || uid == 0)
            continue;
        const auto text = base::read_small_file(path_of(copies_, uid), largest_copy);
        records.push_back(copy_of(uid, text.value_or(std::string{}), boot_id_, now));
    }
    return records;
}

} // namespace vigil::store
