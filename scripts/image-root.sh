#!/bin/sh
# Makes the root filesystem of the image in the folder that is named: Node, the program's helpers (flock keeps two workers
# apart, sync makes a volume durable, fallocate reserves space), the libraries that these need, and their licences.
# Runs in the Debian image that they come from.
set -e
root=$1
programs='node flock sync fallocate'
work=$(mktemp -d)

install_file() {
  install -D "$1" "$root$1"
  # In a merged /usr the package manager may know a file by its other name. Node is in no package.
  dpkg-query --search "$1" "${1#/usr}" "/usr$1" 2>/dev/null | sed -n 's/\(:[a-z0-9]*\)\{0,1\}: .*//p' >>"$work/packages" || true
}

mkdir -p "$root/usr/lib" "$root/usr/lib64" "$root/usr/bin" "$root/etc" "$root/tmp"
for directory in lib lib64 bin; do ln -s "usr/$directory" "$root/$directory"; done
for program in $programs; do
  path=$(realpath "$(command -v "$program")")
  install_file "$path"
  ldd "$path" | sed -n 's/.* => \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' >"$work/libraries"
  while read -r library; do install_file "$library"; done <"$work/libraries"
done

printf 'root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"

documents=$root/usr/share/doc
mkdir -p "$documents"
sort -u "$work/packages" | while read -r package; do
  install -D "/usr/share/doc/$package/copyright" "$documents/$package/copyright"
  dpkg-query --show --showformat '${Package} ${Version}\n' "$package"
done >"$documents/packages"
if [ -f /usr/local/LICENSE ]; then install -D /usr/local/LICENSE "$documents/node/LICENSE"; fi
rm -r "$work"
