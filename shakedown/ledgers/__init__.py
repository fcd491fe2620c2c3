"""What was written, and whether it can be read back.

=======  =======================================================================
writer   each write noted before it is sent, and its answer after
entries  the notes of all load workers, put together
reader   every acknowledged key read back: lost, duplicated
=======  =======================================================================
"""
