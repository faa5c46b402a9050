#!/usr/bin/env bash
# Runs a static x86-64 Linux executable on a processor with AVX-512 that this host need not have.
#
#   avx512-host.sh EXECUTABLE [ARGUMENT...]
#
# Bochs plays the processor, a Debian kernel and a one-page init run on it. The executable's standard output and
# error come out of this script's, its exit status is this script's (125: the machine itself failed, 124: out of
# time). Standard input is empty. It runs as root in /work of a file system in memory, with /proc, /dev, /sys, /tmp.
#
# Needs Debian's packages bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso busybox-static cpio
# and, for the kernel, a package list that `apt-get update` has filled (or KERNEL).
#
#   EXTRA_FILES  files or directories for /work, one `SOURCE` or `SOURCE=NAME` a line
#   PASS_ENV     names of environment variables to hand on (default: RUST_BACKTRACE RUST_TEST_THREADS)
#   MODEL        tigerlake (default), corei7_icelake_u, corei3_cnl or corei7_skylake_x; see `bochs --help cpu`
#   TIMEOUT      seconds of host time (default 1800)
#   MEMORY       MiB of the machine (default 1024; too little for all files stops the boot loader, until TIMEOUT)
#   KERNEL       a vmlinuz with initramfs, devtmpfs and 8250 serial ports built in, to use in place of Debian's
#   WORK_DIR     where to keep the kernel and make the temporary directory
#                (default: CARGO_TARGET_TMPDIR, else TMPDIR, else /tmp)
#   KEEP=1       leave the temporary directory, with Bochs' log and the kernel's console, and say where it is
set -euo pipefail

share=/usr/share/bochs
packages="bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso busybox-static cpio"
base=${WORK_DIR:-${CARGO_TARGET_TMPDIR:-${TMPDIR:-/tmp}}}
model=${MODEL:-tigerlake}
# Emulated instructions a second of emulated time. A tenth to twice of this takes as long; from 500 million on, the
# kernel's busy waits double the time to boot.
ips=50000000

fail() {
    printf 'avx512-host: %s\n' "$*" >&2
    exit 125
}

quoted() { # a word for the guest's shell
    printf "'%s'" "${1//\'/\'\\\'\'}"
}

running=
end() {
    [ -z "$running" ] || { kill -KILL "$running" && wait "$running"; } 2>/dev/null || true
    [ -z "${dir:-}" ] || [ "${KEEP:-}" = 1 ] || rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ $# -ge 1 ] || fail "usage: $0 EXECUTABLE [ARGUMENT...]"
executable=$1
shift
[ -f "$executable" ] || fail "$executable: no such file"
for file in /usr/bin/bochs-bin "$share/BIOS-bochs-latest" /usr/share/vgabios/vgabios.bin \
    /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 /bin/busybox /usr/bin/xorriso \
    /usr/bin/cpio; do
    [ -e "$file" ] || fail "no $file; install Debian's packages: $packages"
done
grep -qx "$model" <<<"$(bochs-bin --help cpu 2>&1)" || fail "this Bochs has no processor model $model (bochs --help cpu)"

mkdir -p "$base"
dir=$(mktemp -d -p "$base" avx512-host.XXXXXX)
[ "${KEEP:-}" != 1 ] || printf 'avx512-host: keeps %s\n' "$dir" >&2
mkdir -p "$dir"/root/{bin,dev,executable,proc,sys,tmp,work} "$dir"/iso/isolinux

# The kernel is unpacked, never installed. It is moved into place whole, so that runs may meet here.
kernel=${KERNEL:-$base/avx512-host-vmlinuz}
if [ ! -e "$kernel" ]; then
    [ -z "${KERNEL:-}" ] || fail "$KERNEL: no such kernel"
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
    [ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64; run apt-get update or set KERNEL"
    (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2) || fail "cannot download $package"
    dpkg-deb -x "$dir"/linux-image-*.deb "$dir/kernel"
    rm "$dir"/linux-image-*.deb
    mv "$dir"/kernel/boot/vmlinuz-* "$kernel"
fi

# The initramfs: busybox, the executable, the extra files and an init that reports over the serial ports:
# ttyS0 the kernel's console, ttyS1 standard output, ttyS2 standard error, ttyS3 the exit status.
name=$(basename "$executable")
cp "$executable" "$dir/root/executable/$name"
chmod 755 "$dir/root/executable/$name"
cp -L /bin/busybox "$dir/root/bin/busybox"
while IFS= read -r extra; do
    [ -n "$extra" ] || continue
    source=${extra%%=*}
    target=$(basename "$source")
    [ "$extra" = "$source" ] || target=${extra#*=}
    mkdir -p "$(dirname "$dir/root/work/$target")"
    cp -rL "$source" "$dir/root/work/$target" || fail "EXTRA_FILES: cannot copy $source"
done <<<"${EXTRA_FILES:-}"
{
    cat <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox stty -F /dev/ttyS1 raw
/bin/busybox stty -F /dev/ttyS2 raw
cd /work
INIT
    for variable in ${PASS_ENV-RUST_BACKTRACE RUST_TEST_THREADS}; do
        [ -z "${!variable+set}" ] || printf 'export %s=%s\n' "$variable" "$(quoted "${!variable}")"
    done
    quoted "/executable/$name"
    for argument; do
        printf ' %s' "$(quoted "$argument")"
    done
    # Closing a port waits until all has left it; the forced reboot is the triple fault that ends Bochs.
    printf '%s\n' ' </dev/null >/dev/ttyS1 2>/dev/ttyS2' 'echo $? >/dev/ttyS3' '/bin/busybox reboot -f'
} >"$dir/root/init"
chmod 755 "$dir/root/init"
(cd "$dir/root" && find . | cpio --quiet -o -H newc -R 0:0) >"$dir/iso/initrd"

# What the kernel is told, word by word where it is not about saving time:
# - clearcpuid: Bochs 2.7 has the PKRU state at offset 0 and reports the compacted XSAVE area at its standard size,
#   either of which makes the kernel give up XSAVE, and with it AVX; and with fsrm and erms in use the boot hangs in
#   Bochs on all models that have FSRM. The executable still sees these features where it asks CPUID itself.
# - acpi, hpet, noapic, nolapic: the 8259 and 8254 need the fewest instructions.
# - reboot=t with panic=-1: every end is a triple fault.
cp "$kernel" "$dir/iso/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$dir/iso/isolinux/"
cat >"$dir/iso/isolinux/isolinux.cfg" <<CONFIG
default avx512
prompt 0
label avx512
    linux /vmlinuz
    initrd /initrd
    append console=ttyS0,115200 quiet loglevel=3 reboot=t panic=-1 clearcpuid=pku,xsavec,xsaves,fsrm,erms acpi=off hpet=disable noapic nolapic nosmp clocksource=tsc tsc=reliable no_timer_check mitigations=off nopti nokaslr init_on_alloc=0 cryptomgr.notests random.trust_cpu=on
CONFIG
xorriso -as mkisofs -quiet -o "$dir/disc.iso" -b isolinux/isolinux.bin -no-emul-boot -boot-load-size 4 \
    -boot-info-table "$dir/iso" 2>"$dir/xorriso.log" || fail "xorriso failed: $(tail -n 3 "$dir/xorriso.log")"

cat >"$dir/bochsrc" <<CONFIG
display_library: term
romimage: file=$share/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
megs: ${MEMORY:-1024}
cpu: model=$model, count=1, ips=$ips, reset_on_triple_fault=0
clock: sync=none
ata0-master: type=cdrom, path=$dir/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$dir/console
com2: enabled=1, mode=file, dev=$dir/stdout
com3: enabled=1, mode=file, dev=$dir/stderr
com4: enabled=1, mode=file, dev=$dir/status
log: $dir/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
CONFIG

# Both streams are pipes that are passed on as they come. This shell holds them open for writing, so that a machine
# which never opens them leaves nobody waiting.
mkfifo "$dir/stdout" "$dir/stderr"
exec 3<>"$dir/stdout" 4<>"$dir/stderr"
cat "$dir/stdout" 3>&- 4>&- &
cat "$dir/stderr" >&2 3>&- 4>&- &

command=(bochs-bin -q -f "$dir/bochsrc")
# Debian builds Bochs with its debugger, which waits for a `continue`.
if grep -q -e '^ *-rc ' <<<"$(bochs-bin --help 2>&1)"; then
    echo continue >"$dir/debugger"
    command+=(-rc "$dir/debugger")
fi
TERM=vt100 "${command[@]}" </dev/null >"$dir/screen" 2>&1 3>&- 4>&- &
running=$!
limit=$((SECONDS + ${TIMEOUT:-1800}))
while kill -0 "$running" 2>/dev/null && [ $SECONDS -lt $limit ]; do
    sleep 0.1
done
late=
if kill -KILL "$running" 2>/dev/null; then
    late=1
fi
wait "$running" 2>/dev/null || true
running=
exec 3>&- 4>&-
wait

if [ -s "$dir/status" ]; then
    exit "$(tr -d '\r\n' <"$dir/status")"
elif [ -n "$late" ]; then
    printf 'avx512-host: not done after %d seconds (TIMEOUT)\n' "${TIMEOUT:-1800}" >&2
    exit 124
fi
for log in console bochs.log; do
    [ ! -s "$dir/$log" ] || { echo "--- $log"; tail -n 20 "$dir/$log"; } >&2
done
fail "the machine ended before the executable did"
