// The one file that knows CLI11, which is long to compile: words in, calls of commands.hpp out.

#include "cli/arguments.hpp"

#include "base/log.hpp"
#include "cli/client.hpp"

#include <cstdio>
#include <functional>
#include <memory>

#include <CLI/CLI.hpp>

namespace vigil::cli {

namespace {

/// What is to be run once all words are read.
struct Choice {
    const Context& context;
    std::function<int()> call;
};

void add_verb(CLI::App& app, Choice& choice, const Verb& verb) {
    auto* const command = app.add_subcommand(verb.name, verb.help);
    const auto selection = std::make_shared<Selection>();
    auto* const ids =
        command->add_option("ID", selection->ids, "sessions, by at least 4 digits of their ids");
    auto* const user = command->add_option("--user", selection->user, "all of this user's");
    auto* const all = command->add_flag("--all", selection->all, "all there are");
    user->excludes(ids)->excludes(all);
    all->excludes(ids);
    auto* const reason = command->add_option("--reason", selection->reason, "for the log");
    const auto sleeps = std::make_shared<bool>(false);
    // Which sessions these are is the policy's to say.
    if (verb.for_sleep)
        command->add_flag("--for-sleep", *sleeps, "what the policy has locked before a sleep")
            ->excludes(ids)
            ->excludes(user)
            ->excludes(all)
            ->excludes(reason);
    command->callback([&choice, &verb, selection, sleeps] {
        if (*sleeps) {
            choice.call = [&choice] { return lock_for_sleep(choice.context); };
            return;
        }
        if (verb.of_others && selection->reason.empty())
            throw CLI::RequiredError("--reason");
        const bool none = selection->ids.empty() && selection->user.empty() && !selection->all;
        if (none && verb.of_others)
            throw CLI::RequiredError("ID, --user or --all");
        choice.call = [&choice, &verb, selection] { return act(choice.context, verb, *selection); };
    });
}

void add_sessions(CLI::App& app, Choice& choice) {
    const auto json = std::make_shared<bool>(false);
    const auto id = std::make_shared<std::string>();
    auto* const list_command = app.add_subcommand("list", "The sessions vigild watches.");
    list_command->add_flag("--json", *json, "for programs");
    list_command->callback(
        [&choice, json] { choice.call = [&choice, json] { return list(choice.context, *json); }; });
    auto* const show_command = app.add_subcommand("show", "All that is known of one session.");
    show_command->add_option("ID", *id, "at least 4 digits of its id")->required();
    show_command->add_flag("--json", *json, "for programs");
    show_command->callback([&choice, id, json] {
        choice.call = [&choice, id, json] { return show(choice.context, *id, *json); };
    });
    for (const auto& verb : verbs)
        add_verb(app, choice, verb);
}

void add_factors(CLI::App& app, Choice& choice) {
    auto* const enroll_command = app.add_subcommand("enroll", "Set up a second factor.");
    enroll_command->require_subcommand(1);
    auto* const totp = enroll_command->add_subcommand("totp", "An authenticator's codes.");
    const auto what = std::make_shared<Enrolling>();
    totp->add_option("USER", what->user, "whose; you, if left out");
    totp->add_option("--name", what->name, "what to call the device")->capture_default_str();
    totp->add_option("--digits", what->digits, "of a code")
        ->check(CLI::IsMember({6, 8}))
        ->capture_default_str();
    totp->add_option("--hash", what->hash, "that makes the codes")
        ->check(CLI::IsMember({"sha1", "sha256", "sha512"}))
        ->capture_default_str();
    constexpr const char* ticket_help = "by an administrator's ticket, which is asked for";
    totp->add_flag("--ticket", what->by_ticket, ticket_help);
    totp->callback([&choice, what] {
        choice.call = [&choice, what] { return enroll(choice.context, *what); };
    });

    const auto key = std::make_shared<EnrollingKey>();
    auto* const key_command = enroll_command->add_subcommand(
        "key", "A security key, by its touch through the ssh agent.");
    key_command->add_option("USER", key->user, "whose; you, if left out");
    key_command->add_option("--name", key->name, "what to call it; its fingerprint, if left out");
    key_command->add_option("--key", key->key, "which of the agent's, by its fingerprint");
    key_command->add_flag("--json", key->json, "for programs");
    key_command->add_flag("--ticket", key->by_ticket, ticket_help);
    key_command->callback([&choice, key] {
        choice.call = [&choice, key] { return enroll_key(choice.context, *key); };
    });

    const auto whose = std::make_shared<std::string>();
    const auto time = std::make_shared<std::string>("1d");
    auto* const ticket_command =
        enroll_command->add_subcommand("ticket", "Let a user enrol once. For administrators.");
    ticket_command->add_option("USER", *whose, "whose ticket")->required();
    ticket_command->add_option("--for", *time, "how long it is good for")->capture_default_str();
    ticket_command->callback([&choice, whose, time] {
        choice.call = [&choice, whose, time] {
            return enroll_ticket(choice.context, *whose, *time);
        };
    });

    auto* const codes_command =
        app.add_subcommand("recovery-codes", "Ten codes for one use each, on paper.");
    codes_command->add_option("USER", what->user, "whose; you, if left out");
    codes_command->callback([&choice, what] {
        choice.call = [&choice, what] { return recovery_codes(choice.context, what->user); };
    });

    const auto text = std::make_shared<std::string>();
    const auto json = std::make_shared<bool>(false);
    auto* const factors_command = app.add_subcommand("factors", "Who has which factors.");
    factors_command->add_option("USER", *text, "whose; for root everybody's, if left out");
    factors_command->add_flag("--json", *json, "for programs");
    factors_command->callback([&choice, text, json] {
        choice.call = [&choice, text, json] { return factors(choice.context, *text, *json); };
    });

    auto* const forget_command = app.add_subcommand("forget", "Remove a factor.");
    forget_command->add_option("FACTOR", *text, "its id: vigilctl factors")->required();
    forget_command->callback([&choice, text] {
        choice.call = [&choice, text] { return forget(choice.context, *text); };
    });

    auto* const rekey_command =
        app.add_subcommand("rekey", "Seal all factors under a new key. For root.");
    rekey_command->add_option("--with-key", *text, "what it is sealed to; the TPM if there is one")
        ->check(CLI::IsMember({"host", "tpm2", "host+tpm2"}));
    rekey_command->callback([&choice, text] {
        choice.call = [&choice, text] { return rekey(choice.context, *text); };
    });
}

void add_grants(CLI::App& app, Choice& choice) {
    const auto all = std::make_shared<bool>(false);
    const auto json = std::make_shared<bool>(false);
    auto* const grants_command = app.add_subcommand("grants", "Proofs that still count.");
    grants_command->add_flag("--all", *all, "other people's too; for operators");
    grants_command->add_flag("--json", *json, "for programs");
    grants_command->callback([&choice, all, json] {
        choice.call = [&choice, all, json] { return grants(choice.context, *all, *json); };
    });

    const auto which = std::make_shared<Selection>();
    auto* const revoke_command = app.add_subcommand("revoke", "Take proofs back.");
    auto* const ids = revoke_command->add_option(
        "ID", which->ids, "grants, by at least 4 digits of their ids: vigilctl grants");
    revoke_command->add_option("--user", which->user, "all of this user's")->excludes(ids);
    revoke_command->callback([&choice, which] {
        if (which->ids.empty() && which->user.empty())
            throw CLI::RequiredError("ID or --user");
        choice.call = [&choice, which] { return revoke(choice.context, which->ids, which->user); };
    });
}

void add_blocks(CLI::App& app, Choice& choice) {
    const auto what = std::make_shared<Blocking>();
    auto* const block_command =
        app.add_subcommand("block", "Keep a user out: no login, no sudo, no unlock. For root.");
    block_command->add_option("USER", what->user, "whom")->required();
    block_command->add_option("--reason", what->reason, "for whoever is refused, and for the log")
        ->required();
    block_command->add_option("--for", what->time, "how long; without it until unblock");
    block_command->callback([&choice, what] {
        choice.call = [&choice, what] { return block(choice.context, *what); };
    });

    const auto user = std::make_shared<std::string>();
    auto* const unblock_command =
        app.add_subcommand("unblock", "Let a blocked user in again. For root.");
    unblock_command->add_option("USER", *user, "whom; also by his number")->required();
    unblock_command->callback([&choice, user] {
        choice.call = [&choice, user] { return unblock(choice.context, *user); };
    });
}

void add_requests(CLI::App& app, Choice& choice) {
    const auto json = std::make_shared<bool>(false);
    auto* const requests_command =
        app.add_subcommand("requests", "Who waits for another person's approval.");
    requests_command->add_flag("--json", *json, "for programs");
    requests_command->callback([&choice, json] {
        choice.call = [&choice, json] { return requests(choice.context, *json); };
    });

    const auto id = std::make_shared<std::string>();
    const auto sure = std::make_shared<bool>(false);
    auto* const approve_command =
        app.add_subcommand("approve", "Let the command of a request run.");
    approve_command->add_option("REQUEST", *id, "by at least 4 digits of its id: vigilctl requests")
        ->required();
    approve_command->add_flag("--yes", *sure, "without being shown it and asked first");
    approve_command->callback([&choice, id, sure] {
        choice.call = [&choice, id, sure] { return approve(choice.context, *id, *sure); };
    });

    const auto reason = std::make_shared<std::string>();
    auto* const deny_command = app.add_subcommand("deny", "Say no to a request.");
    deny_command->add_option("REQUEST", *id, "by at least 4 digits of its id: vigilctl requests")
        ->required();
    deny_command->add_option("--reason", *reason, "for whoever asked, and for the journal");
    deny_command->callback([&choice, id, reason] {
        choice.call = [&choice, id, reason] { return deny(choice.context, *id, *reason); };
    });
}

void add_policy(CLI::App& app, Choice& choice) {
    auto* const policy_command = app.add_subcommand("policy", "The rules.");
    policy_command->require_subcommand(1);
    auto* const command =
        policy_command->add_subcommand("check", "Say whether policy files are right.");
    const auto files = std::make_shared<std::vector<std::string>>();
    const auto json = std::make_shared<bool>(false);
    command->add_option("FILE", *files, "instead of /etc/vigil/policy.yaml and policy.d");
    command->add_flag("--json", *json, "for programs");
    command->callback([&choice, files, json] {
        choice.call = [files, json] { return check_policy(*files, *json); };
    });
}

void add_sudo(CLI::App& app, Choice& choice) {
    auto* const sudo_command =
        app.add_subcommand("sudo", "Whether sudo asks vigil about each command.");
    sudo_command->require_subcommand(1);
    auto* const enable_command =
        sudo_command->add_subcommand("enable", "Have it ask, once that is proved to work.");
    const auto unavailable = std::make_shared<std::string>("deny");
    enable_command->add_option("--unavailable", *unavailable, "what sudo does without vigild")
        ->check(CLI::IsMember({"allow", "deny"}))
        ->capture_default_str();
    enable_command->callback([&choice, unavailable] {
        choice.call = [&choice, unavailable] {
            return enable_sudo(choice.context,
                               *unavailable == "allow" ? Unavailable::allow : Unavailable::deny);
        };
    });
    sudo_command->add_subcommand("disable", "Have sudo as it was before.")->callback([&choice] {
        choice.call = [&choice] { return disable_sudo(choice.context); };
    });
    const auto json = std::make_shared<bool>(false);
    auto* const status_command = sudo_command->add_subcommand("status", "Whether it does.");
    status_command->add_flag("--json", *json, "for programs");
    status_command->callback([&choice, json] {
        choice.call = [&choice, json] { return sudo_status(choice.context, *json); };
    });
}

void add_modes(CLI::App& app, Choice& choice) {
    const auto time = std::make_shared<std::string>();
    auto* const rehearse_command = app.add_subcommand(
        "rehearse", "Enforce a policy that only observes, for a while. For root.");
    rehearse_command->add_option("--for", *time, "how long, as 10m")->required();
    rehearse_command->callback([&choice, time] {
        choice.call = [&choice, time] { return rehearse(choice.context, *time); };
    });
    const auto anyway = std::make_shared<bool>(false);
    auto* const enforce_command = app.add_subcommand(
        "enforce", "Enforce from now on; in a rehearsal, from a new login. For root.");
    enforce_command->add_flag("--anyway", *anyway, "whatever the doctor says");
    enforce_command->callback([&choice, anyway] {
        choice.call = [&choice, anyway] { return enforce(choice.context, *anyway); };
    });
}

void add_daemon(CLI::App& app, Choice& choice) {
    const auto json = std::make_shared<bool>(false);
    auto* const status_command = app.add_subcommand("status", "How vigild is.");
    status_command->add_flag("--json", *json, "for programs");
    status_command->callback([&choice, json] {
        choice.call = [&choice, json] { return status(choice.context, *json); };
    });
    auto* const doctor_command =
        app.add_subcommand("doctor", "Whether all is there that vigil needs, and what mends it.");
    doctor_command->add_flag("--json", *json, "for programs");
    doctor_command->callback([&choice, json] {
        choice.call = [&choice, json] { return doctor(choice.context, *json); };
    });
    app.add_subcommand("reload", "Read the policy anew.")->callback([&choice] {
        choice.call = [&choice] { return reload(choice.context); };
    });
    add_modes(app, choice);
    const auto which = std::make_shared<ThawChoice>();
    auto* const thaw_command =
        app.add_subcommand("thaw", "Give held sessions back by hand, without vigild. For root.");
    thaw_command->add_flag("--all", which->all, "all there are")->required();
    thaw_command->add_flag("--force", which->force, "although vigild runs and answers");
    thaw_command->callback([&choice, which] {
        choice.call = [&choice, which] { return thaw(choice.context, *which); };
    });
}

/// One line: what is wrong, with which command, where help is.
void explain(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* command = &app;
    std::string name = app.get_name();
    while (!command->get_subcommands().empty()) {
        command = command->get_subcommands().front();
        name += " " + command->get_name();
    }
    const auto unknown = command->remaining();
    const bool wants_command = !command->get_subcommands({}).empty();
    std::string what = error.what();
    if (wants_command && unknown.empty())
        what = "a command is missing";
    else if (wants_command)
        what = "there is no command `" + base::escape(unknown.front()) + "`";
    else if (!unknown.empty())
        what = "`" + base::escape(unknown.front()) + "` was not expected";
    std::fprintf(stderr, "%s: %s; see `%s --help`\n", name.c_str(), what.c_str(), name.c_str());
}

} // namespace

int run(int argc, char** argv, Context& context) {
    CLI::App app{"Watches over login sessions: the operator's and the user's tool.", "vigilctl"};
    app.set_version_flag("--version", "vigilctl " VIGIL_VERSION);
    app.add_option("--socket", context.socket, "vigild's socket, instead of the bus")
        ->type_name("PATH");
    app.require_subcommand(1);
    Choice choice{.context = context, .call = {}};
    add_sessions(app, choice);
    add_factors(app, choice);
    add_grants(app, choice);
    add_blocks(app, choice);
    add_requests(app, choice);
    add_policy(app, choice);
    add_sudo(app, choice);
    add_daemon(app, choice);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) // --help, --version
            return app.exit(error);
        explain(app, error);
        return exit_usage;
    }
    return choice.call();
}

} // namespace vigil::cli
