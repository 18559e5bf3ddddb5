#!/bin/busybox sh
# shellcheck shell=dash
# Count the words of the message, as `len(message.split(' '))` does: one more than there are spaces.
spaces=$(printf '%s' "$MSG" | busybox tr -cd ' ' | busybox wc -c)
echo "Number of words is: $((spaces + 1))"
