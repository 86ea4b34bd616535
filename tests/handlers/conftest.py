from tests.effects.support import aws as aws
