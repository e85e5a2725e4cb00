"""placeholder"""


def network_picture(plan):
    return b""
