#pragma once
// Who asks for a change of factors, and how he proves that he has one already.

#include "base/secret.hpp"
#include "cli/client.hpp"

namespace vigil::cli {

/// By the user database, or the number.
std::string own_name();

/// A line of stdin without its blanks: digits may be typed in groups, as authenticators show them.
/// The question is for a person alone. false: there is no line.
bool ask_for_code(std::string& code, const char* question, bool person);

/// Of what one has already, for one who changes that: a code, the touch of a key, or a recovery
/// code; never an argument, which everybody on the host can read. "" where vigild asks for none, or
/// there is none: it says then what to do.
base::Secret proof_of(const Client& client, bool person);

/// The same for one who enrols; or what an administrator has given, read as a code is. Error: there
/// was no ticket.
Result<base::Secret> proof_to_enroll(const Client& client, bool by_ticket, bool person);

} // namespace vigil::cli
