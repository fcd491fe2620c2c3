"""How a system behaves while it is disturbed: pure judgements over what was measured, one question each.

===========  ======================================================================================
whole        all of them, asked of one experiment
served       what was served in full, degraded, or not; whether core functions kept working
waits        how long clients waited
counters     a sampled counter, read as calls; what was not sampled is not zero
demand       what clients asked, by the second
calls        calls at a dependency for each request: retry storms, herds
breaker      whether a circuit breaker opened, let probes through, closed
metastable   trouble that outlasts its cause
cascade      which others fell, in which order, and whether they had a reason to
findings     all of it in words, with the name of the mistake
===========  ======================================================================================
"""
