#!/bin/sh
# What the file of a module or a plugin shows to the program that loads it: its entry points, and its needs.
# module_file.sh FILE "ENTRY-POINTS" NEEDED-LIBRARY...
set -eu
module=$1 wanted=$2
shift 2
export LC_ALL=C

exported=$(nm -D --defined-only "$module" | awk '{print $NF}' | sort | tr '\n' ' ')
[ "$exported" = "$wanted " ] || { echo "exported: $exported"; exit 1; }

for library in $(readelf -d "$module" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case " $* ld-linux-x86-64 ld-linux-aarch64 " in
    *" ${library%%.so.*} "*) ;;
    *) echo "needs $library"; exit 1 ;;
    esac
done

readelf -d "$module" | grep -q NODELETE || { echo "may be unloaded"; exit 1; }
