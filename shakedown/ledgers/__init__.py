"""What was written, and whether it can be read back.

=======  =======================================================================================
digest   a value as a short text; a key as a number
writer   each write noted before it is sent, and its answer after, in a mapped file
entries  the notes of all load workers, as lines
book     all writes in arrays: what is expected of each key
asking   who is asked, and how: asking_http, asking_sql, asking_redis
sight    what was seen of each key
reader   everything read back, again and again until it is right or the time is up
judging  lost, duplicated, corrupted, phantom, resurrected, out of order, unwanted
fresh    what seems lost, asked for by somebody who wants no old answer
=======  =======================================================================================
"""
