#!/usr/bin/env bash
# Fetches what cli/tests/linux.rs boots: Debian's kernel for virtual machines with its modules, and busybox. Nothing is installed.
#
#     tests/linux-guest.sh [FOLDER]        # target/linux-guest
#     export ENCORE86_LINUX=FOLDER
#
# Needs apt-get with Debian's packages of bookworm (kernel 6.1) or later, and dpkg-deb. What is there already is kept.
# Where the list of packages is missing, it is fetched, by root or sudo.
set -euo pipefail

folder=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../target/linux-guest}")
[ -e "$folder/complete" ] && exit 0
mkdir -p "$folder"
cd "$folder"
rm -rf parts modules
mkdir -p parts modules

# The package linux-image-cloud-amd64 only names the one with the kernel.
image() {
    apt-cache show linux-image-cloud-amd64 2>/dev/null | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | sed -n 1p
}
download() {
    image=$(image)
    [ -n "$image" ] && (cd parts && apt-get -qq download "$image" busybox-static)
}
update() {
    if [ "$(id -u)" = 0 ]; then apt-get -qq update; else sudo -n apt-get -qq update; fi
}
download || { update && download; } || { printf 'linux-image-cloud-amd64 cannot be had\n' >&2; exit 1; }
for package in parts/*.deb; do
    dpkg-deb -x "$package" parts/files
done

cp parts/files/boot/vmlinuz-* vmlinuz
cp "$(find parts/files -name busybox -type f -path '*bin/*' | head -n 1)" busybox
find parts/files -name '*.ko' -path '*crypto*' -exec cp {} modules \;
find parts/files -name 'raid6_pq.ko' -exec cp {} modules \;
rm -rf parts
touch complete
printf '%s: kernel, busybox and %s modules\n' "$image" "$(find modules -name '*.ko' | wc -l)"
