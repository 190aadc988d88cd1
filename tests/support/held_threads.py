"""A thread that is held inside a context while another one goes on."""

import contextlib
import threading

__all__ = ["elsewhere", "result_of_a_thread"]

SECONDS = 120  # after which a thread that never came is a failure


@contextlib.contextmanager
def elsewhere(context):
    """Inside, another thread is within `context`, which it entered before and leaves after."""
    entered, leave, failures = threading.Event(), threading.Event(), []

    def hold():
        try:
            with context:
                entered.set()
                assert leave.wait(SECONDS)
        except BaseException as error:
            failures.append(error)
        finally:
            entered.set()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert entered.wait(SECONDS)
        assert not failures, failures
        yield
    finally:
        leave.set()
        thread.join(SECONDS)
    assert not failures, failures


def result_of_a_thread(function):
    """What a function gives when another thread runs it."""
    results, failures = [], []

    def run():
        try:
            results.append(function())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(SECONDS)
    if failures:
        raise failures[0]
    return results[0]
