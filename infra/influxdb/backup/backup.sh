#!/bin/sh
# Writes a backup into a folder named after now, then removes folders older than it should keep.
# A backup that failed leaves nothing behind, and removes none of the old ones.
set -eu

: "${BACKUP_TARGET:?}" "${BACKUP_KEEP_DAYS:?}"
case $BACKUP_KEEP_DAYS in '' | *[!0-9]*) echo "BACKUP_KEEP_DAYS is no number" >&2; exit 1 ;; esac

name=$(date -u +%Y%m%dT%H%M%SZ)
draft=$BACKUP_TARGET/.draft-$name
trap 'rm -rf "$draft"' EXIT
if [ -n "${BACKUP_BUCKET:-}" ]; then
  influx backup --bucket "$BACKUP_BUCKET" "$draft"
else
  influx backup "$draft"
fi
mv "$draft" "$BACKUP_TARGET/$name"
echo "backup $name"

find "$BACKUP_TARGET" -mindepth 1 -maxdepth 1 -type d -name '2*T*Z' \
  -mtime "+$BACKUP_KEEP_DAYS" -exec rm -rf {} +
