from lambdas.effects import clients

SHORTEST = 55  # seconds that tick has, the least of all functions


def test_a_silent_service_leaves_a_function_half_of_its_time() -> None:
    limits = clients.CONFIG
    one_try = limits.connect_timeout + limits.read_timeout
    assert one_try * limits.retries["total_max_attempts"] <= SHORTEST / 2
