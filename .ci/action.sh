#!/usr/bin/env bash
# The steps of action.yml, one function each: action.sh install|baseline|gate|keep|comment.
#
#   BENCH_*, GITHUB_*, RUNNER_TEMP --> bench gate --> table.md --> step summary, annotations, outputs, comment
#
# Inputs arrive as variables and are never pasted into a command, so that no title or branch name can add one.
set -euo pipefail

work=${RUNNER_TEMP:-/tmp}/bench
export BENCH_STORE=${BENCH_STORE:-$work/results} BENCH_CACHE=${BENCH_CACHE:-$work/cache}
table=$work/table.md
mkdir -p "$work"

fail() { # MESSAGE: what went wrong before anything was measured
  echo "::error title=bench::$1"
  exit 2
}

output() { echo "$1=$2" >>"${GITHUB_OUTPUT:-/dev/null}"; }

install() { # this checkout of the action, or the requirement that was named, in an environment of its own
  local pip_arguments=()
  words pip_arguments "${BENCH_PIP_ARGUMENTS:-}"
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    ${pip_arguments[@]+"${pip_arguments[@]}"} "${BENCH_INSTALL:-$GITHUB_ACTION_PATH}"
  echo "$work/venv/bin" >>"$GITHUB_PATH"
  output version "$("$work/venv/bin/bench" --version | tr ' ' '-')"
}

words() { # NAME TEXT: split a text into the array NAME as a shell would, without running anything in it
  local split
  split=$(xargs -r -n 1 printf '%s\n' <<<"$2") || fail "these options cannot be split: $2"
  mapfile -t "$1" < <(printf '%s' "${split:+$split$'\n'}")
}

measured() { # the options that base and head, or a run, have in common, into the array `options`
  options=()
  local name value further=()
  for name in model data task variants; do
    value=BENCH_INPUT_${name^^}
    [ -z "${!value:-}" ] || options+=("--$name" "${!value}")
  done
  words further "${BENCH_OPTIONS:-}"
  options+=(${further[@]+"${further[@]}"})
}

judged() { # the options about rules into the array `rules`, and with those about noise into `judging`
  [ -z "${BENCH_RULES:-}" ] || rules=(--rules "$BENCH_RULES")
  judging=(${rules[@]+"${rules[@]}"})
  [ "${BENCH_ALLOW_NOISE:-true}" != true ] || judging+=(--allow-noise)
}

is_default_branch() { [ "${GITHUB_REF:-}" = "refs/heads/${BENCH_DEFAULT_BRANCH:-main}" ]; }

is_revision() { git rev-parse --quiet --verify "$1^{commit}" >/dev/null; }

find_base() { # the input, the branch that a pull request goes into, or the commit before a push, into `base`
  base=${BENCH_BASE:-}
  if [ -z "$base" ] && [ -n "${GITHUB_BASE_REF:-}" ]; then
    base=origin/$GITHUB_BASE_REF
    # a checkout of one commit lacks it, and its files are all that is needed
    is_revision "$base" || git fetch --quiet --no-tags --depth=1 origin \
      "+refs/heads/$GITHUB_BASE_REF:refs/remotes/$base" || true
  elif [ -z "$base" ]; then
    base=${BENCH_BEFORE:-}
    [ -n "${base//0/}" ] || base=HEAD^ # GitHub names no commit where a branch is new
    is_revision "$base" || git fetch --quiet --no-tags --depth=2 origin "${GITHUB_SHA:-HEAD}" || true
  fi
}

gate() { # measure and judge; exits with the code of `bench gate`
  local code=0 verdict options rules=() judging base
  measured
  judged
  rm -f "$table"
  case ${BENCH_BASELINE:-revision} in
  revision)
    find_base
    run_bench gate --base "$base" ${options[@]+"${options[@]}"} ${judging[@]+"${judging[@]}"} \
      ${BENCH_SETUP:+--setup "$BENCH_SETUP"} --format markdown || code=$?
    ;;
  branch | artifact)
    [ -z "${BENCH_SETUP:-}${BENCH_BASE:-}" ] || fail "setup and base are for baseline: revision, got ${BENCH_BASELINE}"
    run_bench run --quiet ${options[@]+"${options[@]}"} || code=$?
    if [ $code = 0 ] && ! is_default_branch; then
      run_bench gate --run latest ${judging[@]+"${judging[@]}"} --format markdown || code=$?
    fi
    ;;
  *) fail "baseline must be revision, branch or artifact, got ${BENCH_BASELINE}" ;;
  esac
  verdict=$code
  if [ -s "$table" ]; then
    bench gate --run latest ${rules[@]+"${rules[@]}"} || verdict=$? # noise that is allowed is still noise
    bench gate --run latest ${rules[@]+"${rules[@]}"} --format github-annotations || true
  else
    not_run $code >"$table"
  fi
  report $code $verdict
  exit $code
}

run_bench() { # write stdout into the table; messages stay in the log, their end for the summary too
  local codes
  set +e
  { bench "$@" 2>&1 1>&3 3>&- | tee "$work/messages" >&2; } 3>"$table"
  codes=("${PIPESTATUS[@]}")
  set -e
  return "${codes[0]}"
}

not_run() { # what the summary holds where there is no table: a reference was kept, or the last messages
  if [ "$1" = 0 ]; then
    echo "### Gate: measured, as a reference for later runs"
  else
    echo "### Gate: not run (exit code $1)"
    echo
    tail -n 8 "$work/messages" | sed 's/^/    /'
  fi
}

report() { # CODE VERDICT: the summary of the step, and the outputs of the action
  local status
  case $2 in 0) status=holds ;; 3) status=regression ;; 4) status='could not measure' ;; 6) status='too noisy' ;;
  *) status='not run' ;; esac
  cat "$table" >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
  output exit-code "$1"
  output status "$status"
  output table "$table"
  output records "$BENCH_STORE"
}

baseline() { # bring the pinned references of the default branch into the store
  local run pinned=$BENCH_STORE/pinned name=${BENCH_BASELINE_NAME:-bench-baseline}
  mkdir -p "$pinned"
  case ${BENCH_BASELINE:-revision} in
  branch)
    if git fetch --quiet --no-tags --depth=1 origin "$name"; then
      git archive FETCH_HEAD pinned | tar -x -C "$BENCH_STORE"
    fi
    ;;
  artifact)
    run=$(gh run list --workflow "$GITHUB_WORKFLOW" --branch "${BENCH_DEFAULT_BRANCH:-main}" --status success \
      --limit 1 --json databaseId --jq '.[0].databaseId // empty')
    [ -z "$run" ] || gh run download "$run" --name "$name" --dir "$pinned" || true
    ;;
  esac
  if ! is_default_branch && [ -z "$(ls "$pinned")" ]; then
    fail "there is no pinned reference yet: a passing run on ${BENCH_DEFAULT_BRANCH:-main} makes one"
  fi
}

keep() { # on the default branch: pin the run, and push the pin where a branch keeps it
  local name=${BENCH_BASELINE_NAME:-bench-baseline} file blob tree commit parent=()
  is_default_branch || return 0
  bench gate --pin latest
  [ "${BENCH_BASELINE:-}" = branch ] || return 0
  export GIT_INDEX_FILE=$work/index
  rm -f "$GIT_INDEX_FILE"
  if git fetch --quiet --no-tags --depth=1 origin "$name"; then
    git read-tree FETCH_HEAD
    parent=(-p FETCH_HEAD)
  fi
  for file in "$BENCH_STORE"/pinned/*.json; do
    blob=$(git hash-object -w "$file")
    git update-index --add --cacheinfo "100644,$blob,pinned/$(basename "$file")"
  done
  tree=$(git write-tree)
  commit=$(git -c user.name=bench -c user.email=bench@users.noreply.github.com \
    commit-tree "$tree" ${parent[@]+"${parent[@]}"} -m "Reference of ${GITHUB_SHA:-HEAD}")
  git push --quiet origin "$commit:refs/heads/$name"
}

comment() { # one comment on a pull request, which later runs replace; a token that may not is a warning
  local marker="<!-- bench gate: ${BENCH_TITLE:-bench} -->" comments=repos/$GITHUB_REPOSITORY/issues/$BENCH_PULL_REQUEST/comments id
  { echo "$marker"; cat "$table"; } >"$work/comment.md"
  export MARKER=$marker
  if id=$(gh api --paginate "$comments" --jq '.[] | select(.body | startswith(env.MARKER)) | .id' | head -n 1) &&
    if [ -n "$id" ]; then
      gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" -F "body=@$work/comment.md"
    else
      gh api --silent --method POST "$comments" -F "body=@$work/comment.md"
    fi; then
    return 0
  fi
  echo "::warning title=bench::The table could not be written as a comment: the job needs pull-requests: write, which a fork's does not get."
}

case ${1:-} in
install | baseline | gate | keep | comment) "$1" ;;
*) fail "expected install, baseline, gate, keep or comment, got ${1:-nothing}" ;;
esac
