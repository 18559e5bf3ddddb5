# Process 1 of a container that waits for executions: starts each as a child, and clears up behind it.
# Its shell is a static busybox; the image may have none. Only the daemon writes into the directory, which is mounted
# read-only; so do all named pipes stay in their places. $1 is `count` where network bytes are to be counted.
IFS=' 	
'
trap 'exit 0' TERM
d=/_abaco_run
b=$d/busybox
# Open for both directions: no pipe ever meets its end, and what is in it outlives a daemon.
exec 3<>$d/command 4<>$d/answer 5<>$d/output 2>/dev/null
g=/sys/fs/cgroup c=0 i=0 o=0 u= m= e=
for f in $g/cpuacct/cpuacct.usage $g/cpu,cpuacct/cpuacct.usage $g/cpu.stat; do
  [ -r $f ] && u=$f && break
done
for f in $g/memory/memory.oom_control $g/memory.events; do
  [ -r $f ] && m=$f && break
done
for f in /sys/class/net/*/statistics/[rt]x_bytes; do
  case $f in
  */lo/*) ;;
  *) [ "$1" = count ] && [ -r $f ] && e="$e $f" ;;
  esac
done
# CPU nanoseconds in c, network bytes in i.
used() {
  case $u in
  *cpu.stat) read -r f c <$u; c=${c}000 ;;
  ?*) read -r c <$u ;;
  esac
  i=0
  for f in $e; do
    read -r x <$f && i=$((i + x))
  done
}
# Kills of the kernel for want of memory in o.
killed() {
  [ "$m" ] && while read -r f x; do
    [ "$f" = oom_kill ] && o=$x
  done <$m
}
# Kills what is left; whether nothing is. A child's end lets the shell reap what has no other parent.
cleared() {
  kill -9 -1
  t=0
  while set -- /proc/[0-9]*; [ $# -gt 1 ]; do
    [ $t -ge 200 ] && return 1
    [ $t -ge 3 ] && $b usleep 5000
    t=$((t + 1))
    $b true
    kill -9 -1
  done
  return 0
}
l='= - 0 0 0 0 0 0'
echo "$l" >&4
while read -r n <&3; do
  case $n in
  # A daemon that has lost its place asks for the last answer, and knows it by what it asked with.
  '?'*) echo "$n $l" >&4 ;;
  *)
    used
    c0=$c i0=$i
    (
      read -r -n 8 p </proc/self/stat
      echo "+ $n ${p%% *}" >&4
      . $d/script
    )
    s=$? z=0
    cleared || z=1
    used
    killed
    l="= $n $s $((c - c0)) $((i - i0)) $o $z $EPOCHREALTIME"
    echo "$l" >&4
    ;;
  esac
done
