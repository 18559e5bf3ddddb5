#!/bin/busybox sh
# shellcheck shell=dash disable=SC2154 # the job's inputs and parameters are variables
# How many words a text has, and which ones come most often. Names of outputs tell the runs apart, as several jobs may share
# an archive.
set -eu

busybox wc -w <"$text" >"words-$AGAVE_JOB_ID.txt"
busybox tr -cs '[:alpha:]' '\n' <"$text" | busybox sort | busybox uniq -c | busybox sort -rn |
    busybox head -n "$most" | busybox awk '{ print $2 "," $1 }' >"frequent-$AGAVE_JOB_ID.csv"
echo "Counted $(busybox cat "words-$AGAVE_JOB_ID.txt") words of $text"
