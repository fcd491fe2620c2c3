"""The program in a vendor's place: runs inside its image, on its distribution's Python, with no package of ours.

=========  ==================================================
server     HTTP/1.1 to the callers, the counts, what starts it
answers    the stub: which route answers, how, and when
templates  what is filled into an answer
forward    the proxy: calls handed on to the real one
=========  ==================================================
"""
