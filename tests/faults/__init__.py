"""What goes wrong around a training: it is killed, its disk is full, its clock jumps.

Each test lets it happen to a real training, lets that go on, and asks for the very weights, masks
and optimizer state of the undisturbed one. Killed studies, tickets and preparations of data are in
tests/cli/test_study.py, tests/cli/test_tickets.py and tests/scripts/test_corpus.py.
"""
