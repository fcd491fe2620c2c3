# A container is a machine of its own: numbers of processes in it say nothing outside, nor those of outside in here. Runs tell
# machines apart by this file, and leave alone what belongs to another one.
tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
exec "$@"
