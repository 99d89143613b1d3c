# How much time is left, told from what is still to do. Sourced by bed build and tests/run.sh.

# Seconds that each step takes on a new machine of two cores that does nothing else. All of them keep the processors busy, so
# steps that run side by side take as long as one after the other.
declare -A TAKES=(
  [packages]=35 [bao]=5 [cargo-deny]=90
  [ktool]=15 [pause]=1 [etcd]=35 [coredns]=60 [helm]=45 [kube]=235 [cilium]=160 [versitygw]=120
  [image_pause]=1 [image_ktool]=1 [image_coredns]=1 [image_openbao]=1 [image_mariadb]=40 [image_versitygw]=1
  [lints]=150 [tests-built]=300 [binaries]=300 [demo-built]=20 [bench-built]=90 [log-bench-built]=240 [scale-built]=90 [promises-built]=60
  [unit-tests]=240 [cluster]=60 [story]=90 [promises]=700 [figures]=600 [log-figures]=900
)

# work STEP...: the seconds of these steps in all.
work() {
  local step sum=0
  for step; do sum=$((sum + TAKES[$step])); done
  echo "$sum"
}

# plan STEP...: what this process has ahead. Seconds of what runs beside it: KEYHOLE_BESIDE; of what comes after both:
# KEYHOLE_AFTER; of all, from the first script of the chain on: KEYHOLE_WORK.
plan() { AHEAD=("$@") BEHIND=0; }

# next_step STEP: sets LEFT to the time left when this step of the plan begins, in words. What runs beside has got as far as this
# process; a machine that was slower than the table so far stays so.
next_step() {
  while [ "${AHEAD[0]:-$1}" != "$1" ]; do BEHIND=$((BEHIND + TAKES[${AHEAD[0]}])); AHEAD=("${AHEAD[@]:1}"); done
  local own left beside=$((${KEYHOLE_BESIDE:-0} - BEHIND)) past elapsed
  own=$(work "${AHEAD[@]}")
  left=$((own + (beside > 0 ? beside : 0) + ${KEYHOLE_AFTER:-0}))
  past=$((${KEYHOLE_WORK:-BEHIND + own} - left))
  elapsed=$(((${EPOCHREALTIME/[.,]/} - KH_START) / 1000000))
  [ "$past" -lt 60 ] || left=$((left * elapsed / past))
  if [ "$left" -lt 90 ]; then LEFT="about a minute left"; else LEFT="about $(((left + 30) / 60)) minutes left"; fi
}
