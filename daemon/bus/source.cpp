#include "daemon/bus/source.hpp"

namespace vigil::bus {

factors::Source source_of(const policy::Facts& facts) {
    if (facts.remote)
        return factors::Source::from(*facts.remote);
    return facts.remote_unknown ? factors::Source::unknown() : factors::Source::local();
}

factors::Source source_of(const std::optional<core::SessionView>& view) {
    return view ? source_of(view->record->facts) : factors::Source::apart();
}

} // namespace vigil::bus
