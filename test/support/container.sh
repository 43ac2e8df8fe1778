# What a container runtime does before it starts process 1; sourced by `sh` inside fresh mount and PID namespaces.
# usage: container.sh ROOTFS SCRATCH COMMAND..., everything else in variables.
set -e
rootfs=$1 scratch=$2
shift 2
PATH=$PATH:/usr/sbin:/sbin
mount --make-rprivate /
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
root=$scratch/root
# An overlay has a device number of its own, as the root of a container does.
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mkdir -p "$root/proc" "$root/dev" "$root/sys" "$root/tmp"
mount -t proc proc "$root/proc"

# FROM:TO pairs, read-only.
for pair in $CONTAINER_BINDS; do
  from=${pair%%:*} to=$root${pair#*:}
  if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}" && : >"$to"; fi
  mount --bind "$from" "$to"
  mount -o remount,bind,ro "$to"
done

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs -o size=64m tmpfs "$root/dev/shm"
if [ -n "$CONTAINER_TERMINATION_LOG" ]; then
  : >"$root/dev/termination-log"
  mount --bind "$CONTAINER_TERMINATION_LOG" "$root/dev/termination-log"
  [ "$CONTAINER_TERMINATION_LOG_WRITABLE" = yes ] || mount -o remount,bind,ro "$root/dev/termination-log"
fi

# CONTROLLER:DIRECTORY pairs; the only group of version 2 has no name.
mount -t tmpfs -o mode=755 tmpfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup"
for pair in $CONTAINER_GROUPS; do
  to=$root/sys/fs/cgroup/${pair%%:*}
  mkdir -p "$to"
  mount --bind "${pair#*:}" "$to"
  mount -o remount,bind,ro "$to"
done

if [ -n "$CONTAINER_VOLUME" ]; then
  mkdir -p "$root$CONTAINER_MOUNT_PATH"
  mount --bind "$CONTAINER_VOLUME" "$root$CONTAINER_MOUNT_PATH"
fi
# The last two steps happen inside, where an image need not have the programs for them.
tools=$root/.tools
mkdir "$tools"
for program in setpriv env; do
  path=$(command -v $program)
  cp "$path" "$tools/"
  ldd "$path" | sed -n 's/.* => \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
    cp -L "$library" "$tools/"
  done
done
loader=$(cd "$root" && echo .tools/ld-*)
inside="/$loader --library-path /.tools"

[ "$CONTAINER_READ_ONLY" = no ] || mount -o remount,ro "$root"
[ -z "$CONTAINER_STARTED" ] || date +%s%N >"$CONTAINER_STARTED"
exec chroot "$root" $inside /.tools/setpriv $CONTAINER_PRIVILEGES -- $inside /.tools/env -i "$@"
