#!/bin/sh
# What the module's file shows to the program that loads it: its entry points, and its needs.
set -eu
module=$1
export LC_ALL=C

exported=$(nm -D --defined-only "$module" | awk '{print $NF}' | sort | tr '\n' ' ')
wanted="pam_sm_acct_mgmt pam_sm_authenticate pam_sm_close_session pam_sm_open_session pam_sm_setcred "
[ "$exported" = "$wanted" ] || { echo "exported: $exported"; exit 1; }

for library in $(readelf -d "$module" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case $library in
    libpam.so.* | libsystemd.so.* | libgcc_s.so.* | libc.so.* | ld-linux*.so.*) ;;
    *) echo "needs $library"; exit 1 ;;
    esac
done

readelf -d "$module" | grep -q NODELETE || { echo "may be unloaded"; exit 1; }
