#!/bin/sh
# Grades one exercise of this checkout: sh .github/classroom/grade.sh 1.1
#
# CORACLE_GRADER is the git address of the instructor's workshop (and
# CORACLE_GRADER_REF its tag): its tests and its tool are used then. Without it
# this checkout grades itself, which is for practice only, since whoever
# submits could have changed the grader. Protect this folder's paths in either case.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
grader=$here
if [ -n "${CORACLE_GRADER:-}" ]; then
	grader=${RUNNER_TEMP:-/tmp}/coracle-grader
	[ -d "$grader" ] || git clone --quiet --depth 1 ${CORACLE_GRADER_REF:+--branch "$CORACLE_GRADER_REF"} "$CORACLE_GRADER" "$grader"
fi
cd "$grader"
exec ./lab grade "$here" --exercise "$1"
